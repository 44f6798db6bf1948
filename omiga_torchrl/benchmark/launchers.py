"""Launchers: where the jobs of a schedule run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

# Of one process on one core: torch's own threads would only be in each other's way.
THREADS: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RL_LOGGING_LEVEL": "WARNING"}


class Worker(Protocol):
    """A job that was started."""

    def poll(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""

    def stop(self) -> None:
        """Asks it to end, with a checkpoint."""

    def kill(self) -> None:
        """Ends it at once."""


class Launcher(Protocol):
    """A way to start jobs."""

    def cores(self) -> int:
        """How many jobs may run at a time unless the user says it."""

    def start(self, command: Sequence[str], log: Path, handles: Sequence[int]) -> Worker:
        """Starts a recipe.

        Args:
            command: the recipe's name and its overrides.
            log: file for what it prints.
            handles: of locks, to be held as long as the job runs.
        """


class LocalLauncher:
    """Starts every job as a process of this machine, in a session of its own: Ctrl-C does not reach it.

    Args:
        first: called in the process before the job.
    """

    def __init__(self, first: Callable[[], object] | None = None) -> None:
        self._first = first

    def cores(self) -> int:
        """Those that this process may use; macOS and Windows tell only how many there are."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def start(self, command: Sequence[str], log: Path, handles: Sequence[int]) -> LocalWorker:
        """Starts a recipe, see :class:`Launcher`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "omiga_torchrl", "run", *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **THREADS},
                pass_fds=tuple(handles),
                start_new_session=True,
                preexec_fn=self._first,
            )
        return LocalWorker(process)


class LocalWorker:
    """A process, with those that it starts.

    Args:
        process: leader of its session.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def poll(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """Asks the process to end; it ends those that it has started."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """Ends the session at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
