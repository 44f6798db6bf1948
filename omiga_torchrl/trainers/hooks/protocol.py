"""The members of a trainer that hooks use, and the checks that hooks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HookedTrainer(Protocol):
    """The members of a trainer that evaluation and checkpoint hooks use.

    :class:`omiga_torchrl.trainers.OfflineTrainer` has them; a trainer of your own that has them
    takes the same hooks. Hooks know nothing else of a trainer.

    Attributes:
        replay_buffer: the buffer that batches come from, or ``None``.
    """

    replay_buffer: Any

    @property
    def step_count(self) -> int:
        """Gradient steps done."""

    def check_finite(self) -> None:
        """Raises ``FloatingPointError`` if a loss since the last check was NaN or infinite."""

    def log_now(self, metrics: Mapping[str, float], *, step: int = ...) -> None:
        """Writes scalars to the logger at the current step, or at an earlier ``step``.

        Only an evaluation that ends after its step, see :class:`EvaluationHook`, passes ``step``.
        """

    def show(self, **values: float) -> None:
        """Puts values on the progress bar."""

    def save(self, path: str | Path) -> Path:
        """Writes a checkpoint; returns its path."""

    def register_module(self, module_name: str, module: Any) -> None:
        """Makes the state of a hook part of checkpoints."""

    def register_op(self, dest: Any, op: Callable[..., Any], **kwargs: Any) -> None:
        """Calls ``op`` at the stage ``dest`` of each step."""


def require_hooked(hook: str, trainer: object) -> HookedTrainer:
    """The trainer, if it has what hooks use.

    Args:
        hook: name of the hook, for the message.
        trainer: what the hook is registered with.

    Raises:
        TypeError: a member of :class:`HookedTrainer` is missing.
    """
    if not isinstance(trainer, HookedTrainer):
        raise TypeError(
            f"{hook}: trainer must have the members of HookedTrainer, got a {type(trainer).__name__} "
            f"without some of them. Register the hook with an OfflineTrainer."
        )
    return trainer


def require_interval(hook: str, interval: int) -> None:
    """Raises ``ValueError`` unless the interval is at least one step.

    Args:
        hook: name of the hook, for the message.
        interval: gradient steps.
    """
    if interval < 1:
        raise ValueError(f"{hook}: interval must be at least 1, got {interval}. Pass a number of steps.")
