"""How a trainer is saved and resumed: everything that decides how training goes on, except the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from torchrl.trainers import LRSchedulerHook

from omiga_torchrl.random_state import get_random_state, renew_random_state, set_random_state
from omiga_torchrl.trainers.checkpoint import (
    load_checkpoint,
    readable_checkpoint,
    sampler_state,
    save_checkpoint,
    set_sampler_state,
)
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.former import present_trainer_state
from omiga_torchrl.trainers.hooks import CheckpointHook, EvaluationHook, NaNGuardHook
from omiga_torchrl.trainers.log_files import cut_log
from omiga_torchrl.trainers.logged import LoggedTrainer
from omiga_torchrl.trainers.schedules import fit_schedule

_LOG = logging.getLogger(__name__)

# More would hide that the settings are wrong.
MAX_ROLLBACKS: Final = 3


class CheckpointedTrainer(LoggedTrainer):
    """A `Trainer` whose resumed run equals an uninterrupted one bit for bit.

    Attributes:
        metadata: plain values stored with each checkpoint.
        nan_guard: checked before anything is written; ``None`` checks nothing.
    """

    metadata: dict[str, Any]
    nan_guard: NaNGuardHook | None

    @property
    def step_count(self) -> int:
        """Gradient steps done."""
        return self.collected_frames

    def check_finite(self) -> None:
        """Raises ``FloatingPointError`` if a loss since the last check was NaN or infinite."""
        if self.nan_guard is not None:
            self.nan_guard.check()

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how training goes on, except the data."""
        state = super().state_dict()
        state["replay_buffer_sampler"] = sampler_state(self.replay_buffer)
        state["metrics"] = self._window.state_dict()
        state["random"] = get_random_state()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`, also of a former version, into a trainer built the same way.

        Raises:
            ValueError: the trainer has hooks, parameter groups or a loss that the state does not know.
        """
        missing = [name for name in self._modules if name != "optimizer" and name not in state_dict]
        if missing:
            raise ValueError(
                f"OfflineTrainer: the checkpoint has no state of the hooks {missing}; expected the hooks it "
                f"was saved with. Register the same hooks before loading."
            )
        groups = cast(Any, self.optimizer).param_groups
        state_dict = present_trainer_state(state_dict, self.loss_module, [group["name"] for group in groups])
        saved = [(g["name"], len(g["params"])) for g in state_dict["optimizer"]["param_groups"]]
        own = [(g["name"], len(g["params"])) for g in groups]
        if saved != own:
            raise ValueError(
                f"OfflineTrainer: the checkpoint has the parameter groups {saved}; expected {own}. "
                f"Build the trainer with the networks and groups of the saved run."
            )
        super().load_state_dict(state_dict)
        if isinstance(schedule := self._modules.get("lr_scheduler"), LRSchedulerHook):
            fit_schedule(schedule.scheduler, self.total_frames)
        self._last_log = dict(state_dict["state"]["_last_log"])
        cut_log(self.logger, self._last_log)
        set_sampler_state(self.replay_buffer, state_dict["replay_buffer_sampler"])
        self._window.load_state_dict(state_dict["metrics"])
        set_random_state(state_dict["random"])

    def save(self, path: str | Path) -> Path:
        """Writes a checkpoint atomically, after checking that the losses are finite.

        Args:
            path: file to write; an older one is replaced only once the new one is complete.

        Raises:
            FloatingPointError: a loss is NaN or infinite; nothing is written.
        """
        self.check_finite()
        return save_checkpoint(path, self.state_dict(), step=self.step_count, metadata=self.metadata)

    def load_from_file(self, file: str | Path, **kwargs: Any) -> CheckpointedTrainer:
        """Resumes from a checkpoint written by :meth:`save`.

        Args:
            file: the checkpoint.
            kwargs: for :func:`torch.load`, e.g. ``map_location``.

        Returns:
            The trainer itself.
        """
        self.load_state_dict(load_checkpoint(file, **kwargs)["trainer"])
        return self

    def resume(self, folder: str | Path) -> Path | None:
        """Goes on from the newest readable checkpoint of a run that was interrupted.

        A run that ended before its first checkpoint starts anew: whatever it has logged and evaluated comes
        again, so that its log is emptied, and so is its record if its :class:`EvaluationHook` does that.

        Args:
            folder: where its :class:`CheckpointHook` wrote; it may be missing.

        Returns:
            The checkpoint, or ``None`` if there is none.

        Raises:
            DataError: there are checkpoints, and all of them are damaged.
        """
        last = readable_checkpoint(folder)
        if last is not None:
            self.load_from_file(last)
            return last
        cut_log(self.logger, {})
        for hook in self._modules.values():
            if isinstance(hook, EvaluationHook):
                hook.load_state_dict({"last_step": -1})
        return None

    def roll_back(self, error: NonFiniteError) -> None:
        """Goes back to the last checkpoint after a step that is not finite, with other random numbers.

        With the same ones the same step would come again.

        Args:
            error: what was found.

        Raises:
            NonFiniteError: ``error``, unless ``on_nonfinite`` is ``"rollback"``, there is a checkpoint, and
                the run has gone back fewer than three times.
        """
        guard, hook = self.nan_guard, self._modules.get("checkpoint")
        if guard is None or guard.on_nonfinite != "rollback":
            raise error
        found = readable_checkpoint(hook.folder) if isinstance(hook, CheckpointHook) else None
        if found is None:
            raise NonFiniteError(f"{error} There is no checkpoint to go back to.", error.step) from error
        rollbacks = guard.rollbacks + 1
        if rollbacks > MAX_ROLLBACKS:
            raise NonFiniteError(f"{error} It went back {MAX_ROLLBACKS} times.", error.step) from error
        before = self.step_count
        self.load_from_file(found)
        guard.rollbacks = rollbacks
        renew_random_state(rollbacks, getattr(self.replay_buffer, "_rng", None))
        if self._bar is not None:
            self._bar.update(self.step_count - before)
        _LOG.warning("train: went back from step %d to step %d: %s", before, self.step_count, error)
