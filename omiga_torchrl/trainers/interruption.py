"""Signals that end a training cleanly: between two steps, with a checkpoint, and a reason."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class TrainingInterrupted(KeyboardInterrupt):
    """A signal has ended the training; a checkpoint was written if the trainer keeps any.

    Attributes:
        signum: the signal.

    Examples:
        >>> TrainingInterrupted(signal.SIGTERM).exit_code
        143
    """

    def __init__(self, signum: int, message: str = "") -> None:
        super().__init__(message or f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """That of a shell for a process that the signal ended."""
        return 128 + self.signum


class SignalFlag:
    """The first signal that has come since; ``None``: none has.

    Attributes:
        signum: the signal.
        waiting: whether a loop looks at the flag; otherwise the signal raises at once.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.waiting = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Takes a signal: the handler."""
        first, self.signum = self.signum is None, signum if self.signum is None else self.signum
        if not (first and self.waiting):
            raise TrainingInterrupted(signum)


_FLAG: SignalFlag | None = None


@contextmanager
def clean_interruption() -> Iterator[SignalFlag]:
    """Inside the block SIGINT, SIGTERM and SIGHUP become :class:`TrainingInterrupted`, whatever hides them.

    An exception in a signal handler can be caught by whatever code it interrupts: by tensordict's contexts,
    for one. So the handler only notes the signal while :func:`deferred_signals` is in use, and any error that
    leaves the block after a signal is taken for it. A second signal does not wait. Signals that are ignored
    (``nohup``) stay so, and threads other than the main one change nothing.

    Raises:
        TrainingInterrupted: a signal has come.

    Examples:
        >>> try:
        ...     with clean_interruption():
        ...         signal.raise_signal(signal.SIGTERM)
        ... except TrainingInterrupted as stop:
        ...     print(stop.exit_code)
        143
    """
    with _handlers() as flag:
        try:
            yield flag
        except TrainingInterrupted:
            raise
        except BaseException as error:
            if flag.signum is None:
                raise
            raise TrainingInterrupted(flag.signum) from error


@contextmanager
def _handlers() -> Iterator[SignalFlag]:
    """The flag that the process's handlers set; those of the outermost block count."""
    global _FLAG
    if _FLAG is not None or threading.current_thread() is not threading.main_thread():
        yield _FLAG or SignalFlag()
        return
    flag = _FLAG = SignalFlag()
    before: dict[int, Any] = {one: signal.getsignal(one) for one in SIGNALS}
    taken = [one for one, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    try:
        for one in taken:
            signal.signal(one, flag)
        yield flag
    finally:
        _FLAG = None
        for one in taken:
            signal.signal(one, before[one])


@contextmanager
def deferred_signals() -> Iterator[SignalFlag]:
    """Inside the block a signal is only noted, for a loop that looks at the flag between its steps.

    Raises:
        TrainingInterrupted: at the end of the block, if a signal has come that nobody looked at.

    Examples:
        >>> with clean_interruption(), deferred_signals() as flag:
        ...     print(flag.signum)
        None
    """
    with clean_interruption() as flag:
        before, flag.waiting = flag.waiting, True
        try:
            yield flag
        finally:
            flag.waiting = before
        if flag.signum is not None:  # it came after the last look
            raise TrainingInterrupted(flag.signum)
