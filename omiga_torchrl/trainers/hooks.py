"""Hooks of the `OfflineTrainer`: evaluation, checkpoints, the NaN guard, target networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDictBase
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.evaluation import EvaluationResult
from omiga_torchrl.random_state import get_random_state, set_random_state
from omiga_torchrl.trainers.checkpoint import checkpoints
from omiga_torchrl.trainers.stepper import GRAD_NORM_PREFIX, LOSS_PREFIX

if TYPE_CHECKING:
    from omiga_torchrl.trainers.offline import OfflineTrainer

Evaluation = EvaluationResult | Mapping[str, float]


class EvaluationHook(TrainerHookBase):
    """Evaluates every ``interval`` steps and at the end, without touching training.

    The global random states are put back after each evaluation, whatever ``evaluate_fn`` draws.

    Args:
        evaluate_fn: evaluates the current policy, e.g. a call of
            :func:`omiga_torchrl.evaluation.evaluate`; a mapping of scalars also serves.
        interval: gradient steps between two evaluations.
        on_result: called with (step, result), e.g. to write a record.
        at_start: also evaluate before the first step.
        name: prefix of the logged metrics.

    Raises:
        ValueError: ``interval`` is below one.

    Examples:
        >>> hook = EvaluationHook(lambda: {"return": 1.0}, interval=1000)
        >>> hook.interval
        1000
    """

    def __init__(
        self,
        evaluate_fn: Callable[[], Evaluation],
        interval: int,
        *,
        on_result: Callable[[int, Evaluation], object] | None = None,
        at_start: bool = False,
        name: str = "evaluation",
    ) -> None:
        _require_interval(self, interval)
        self.evaluate_fn = evaluate_fn
        self.interval = interval
        self.on_result = on_result
        self.at_start = at_start
        self.name = name
        self.last_step = -1
        self.last_result: Evaluation | None = None
        self._trainer: OfflineTrainer | None = None

    def __call__(self) -> None:
        """Evaluates if it is due (stage ``post_steps``)."""
        assert self._trainer is not None
        if self._trainer.step_count % self.interval == 0:
            self.evaluate()

    def evaluate(self) -> Evaluation:
        """Evaluates now, logs and reports the result."""
        trainer = self._trainer
        assert trainer is not None, "EvaluationHook: register(trainer) first"
        trainer.check_finite()
        state = get_random_state()
        try:
            result = self.evaluate_fn()
        finally:
            set_random_state(state)
        metrics = dict(result if isinstance(result, Mapping) else result.metrics())
        trainer.log_now({f"{self.name}/{name}": value for name, value in metrics.items()})
        shown = next(iter(metrics), None)
        if shown is not None:
            trainer.show(**{shown: metrics[shown]})
        self.last_step, self.last_result = trainer.step_count, result
        if self.on_result is not None:
            self.on_result(trainer.step_count, result)
        return result

    def _start(self) -> None:
        if self.at_start and self._trainer is not None and self._trainer.step_count == 0:
            self.evaluate()

    def _end(self) -> None:
        if self._trainer is not None and self.last_step != self._trainer.step_count:
            self.evaluate()

    def state_dict(self) -> dict[str, Any]:
        """When it last evaluated."""
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.last_step = state_dict["last_step"]

    def register(self, trainer: Trainer, name: str | None = None) -> None:
        """Adds the hook to an :class:`OfflineTrainer`."""
        self._trainer = _require_offline(self, trainer)
        trainer.register_module(name or self.name, self)
        trainer.register_op("setup", self._start)
        trainer.register_op("post_steps", self)
        trainer.register_op("shutdown", self._end)


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
        _require_interval(self, interval)
        if keep < 1:
            raise ValueError(f"CheckpointHook: keep={keep}; expected at least 1.")
        self.folder = Path(folder)
        self.interval = interval
        self.keep = keep
        self.last_step = -1
        self._trainer: OfflineTrainer | None = None

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
        for other in older[: len(older) - self.keep + 1]:
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
        """Adds the hook to an :class:`OfflineTrainer`."""
        self._trainer = _require_offline(self, trainer)
        if getattr(trainer.replay_buffer, "_prefetch", False):
            warnings.warn(
                "CheckpointHook: the replay buffer prefetches, so a resumed run will not repeat the "
                "interrupted one exactly. Build the buffer without prefetch=.",
                stacklevel=2,
            )
        trainer.register_module(name, self)
        trainer.register_op("post_steps_log", self)
        trainer.register_op("shutdown", self._end)


class NaNGuardHook(TrainerHookBase):
    """Stops training at the first non-finite loss or gradient norm, and names it.

    Steps are kept as they are and read together every ``interval`` steps, so that the device is
    not waited for at each. Evaluations and checkpoints check before they start.

    Args:
        interval: gradient steps between two checks.

    Raises:
        ValueError: ``interval`` is below one.

    Examples:
        >>> from tensordict import TensorDict
        >>> guard = NaNGuardHook(interval=10)
        >>> guard(1, TensorDict({"loss_value": torch.tensor(float("nan"))}))
        >>> guard.check()
        Traceback (most recent call last):
        FloatingPointError: NaNGuardHook: 'loss_value' is nan at step 1; ...
    """

    def __init__(self, interval: int = 100) -> None:
        _require_interval(self, interval)
        self.interval = interval
        self._unchecked: list[tuple[int, TensorDictBase]] = []

    def __call__(self, optim_steps: int, losses: TensorDictBase) -> None:
        """Keeps one step's losses (stage ``post_optim_complete_log``)."""
        self._unchecked.append((optim_steps, losses))
        if len(self._unchecked) >= self.interval:
            self.check()

    def check(self) -> None:
        """Checks the steps since the last check.

        Raises:
            FloatingPointError: names the term and the step.
        """
        kept, self._unchecked = self._unchecked, []
        if not kept:
            return
        prefixes = (LOSS_PREFIX, GRAD_NORM_PREFIX)
        rows = [(s, k, v) for s, td in kept for k, v in td.items() if str(k).startswith(prefixes)]
        values = torch.stack([value.detach().float() for _, _, value in rows])
        if values.isfinite().all():
            return
        step, name, value = rows[int((~values.isfinite()).nonzero()[0])]
        raise FloatingPointError(
            f"NaNGuardHook: {name!r} is {float(value)} at step {step}; expected finite values. Check the "
            f"data for NaN, then lower the learning rate, clip gradients, or normalise the rewards."
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: all steps are checked before a checkpoint."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Forgets the steps of the run before."""
        self._unchecked = []

    def register(self, trainer: Trainer, name: str = "nan_guard") -> None:
        """Adds the hook to a trainer."""
        trainer.register_module(name, self)
        trainer.register_op("post_optim_complete_log", self)


class TargetUpdateHook(TrainerHookBase):
    """Steps a target updater after each gradient step (TorchRL's own hook does so once per batch).

    Args:
        updater: e.g. a :class:`omiga_torchrl.objectives.ForeachSoftUpdate`.
    """

    def __init__(self, updater: TargetNetUpdater) -> None:
        if not isinstance(updater, TargetNetUpdater):
            raise TypeError(
                f"TargetUpdateHook: got {type(updater).__name__}; expected a TargetNetUpdater such as "
                f"ForeachSoftUpdate(loss, tau=0.005)."
            )
        self.updater = updater

    def __call__(self) -> None:
        """Updates the targets (stage ``post_optim``)."""
        self.updater.step()

    def state_dict(self) -> dict[str, Any]:
        """Progress of the updater; the targets belong to the loss."""
        return dict(self.updater.state_dict())

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.updater.load_state_dict(dict(state_dict))

    def register(self, trainer: Trainer, name: str = "target_updater") -> None:
        """Adds the hook to a trainer."""
        trainer.register_module(name, self)
        trainer.register_op("post_optim", self)


def _require_interval(hook: TrainerHookBase, interval: int) -> None:
    if interval < 1:
        raise ValueError(f"{type(hook).__name__}: interval={interval}; expected at least 1.")


def _require_offline(hook: TrainerHookBase, trainer: Trainer) -> OfflineTrainer:
    if not hasattr(trainer, "log_now"):
        raise TypeError(f"{type(hook).__name__}: got a {type(trainer).__name__}; expected an OfflineTrainer.")
    return trainer
