"""Checkpoints at regular steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensordict import TensorDictBase
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.trainers.checkpoint import checkpoints
from omiga_torchrl.trainers.hooks.protocol import HookedTrainer, require_hooked, require_interval


class CheckpointHook(TrainerHookBase):
    """Saves ``step_<n>.pt`` every ``interval`` steps and at the end.

    It runs after the other hooks of a step. A diverged run is never saved.

    Args:
        folder: where to; created if needed.
        interval: gradient steps between two checkpoints.
        keep: how many of the newest to keep.

    Raises:
        ValueError: ``interval`` or ``keep`` is below one.

    Examples:
        >>> CheckpointHook("runs/checkpoints", interval=5000).path(5000).name
        'step_00005000.pt'
    """

    def __init__(self, folder: str | Path, interval: int, *, keep: int = 1) -> None:
        require_interval(type(self).__name__, interval)
        if keep < 1:
            raise ValueError(f"CheckpointHook: keep={keep}; expected at least 1.")
        self.folder = Path(folder)
        self.interval = interval
        self.keep = keep
        self.last_step = -1
        self._trainer: HookedTrainer | None = None

    def path(self, step: int) -> Path:
        """The file of a step."""
        return self.folder / f"step_{step:08d}.pt"

    def __call__(self, batch: TensorDictBase | None = None) -> None:
        """Saves if it is due (stage ``post_steps_log``, the last of a step)."""
        assert self._trainer is not None
        if self._trainer.step_count % self.interval == 0:
            self.save()

    def save(self) -> Path:
        """Saves now and removes checkpoints beyond ``keep``."""
        trainer = self._trainer
        assert trainer is not None, "CheckpointHook: register(trainer) first"
        self.last_step = trainer.step_count
        path = trainer.save(self.path(trainer.step_count))
        older = [other for other in checkpoints(self.folder) if other != path]
        for other in older[: max(0, len(older) - self.keep + 1)]:
            other.unlink()
        return path

    def _end(self) -> None:
        if self._trainer is not None and self.last_step != self._trainer.step_count:
            self.save()

    def state_dict(self) -> dict[str, Any]:
        """When it last saved."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.last_step = state_dict["last_step"]

    def register(self, trainer: Trainer, name: str = "checkpoint") -> None:
        """Adds the hook to a trainer with the members of :class:`HookedTrainer`."""
        self._trainer = require_hooked(type(self).__name__, trainer)
        if getattr(trainer.replay_buffer, "_prefetch", False):
            warnings.warn(
                "CheckpointHook: the replay buffer prefetches, so a resumed run will not repeat the "
                "interrupted one exactly. Build the buffer without prefetch=.",
                stacklevel=2,
            )
        trainer.register_module(name, self)
        trainer.register_op("post_steps_log", self)
        trainer.register_op("shutdown", self._end)
