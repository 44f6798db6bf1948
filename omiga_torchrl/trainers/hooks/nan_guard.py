"""Finds the step at which a run diverges."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast, get_args

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.errors import require_choice
from omiga_torchrl.trainers.checkpoint import latest_checkpoint
from omiga_torchrl.trainers.diagnosis import NonFiniteError, OnNonFinite, advise, find_entry
from omiga_torchrl.trainers.hooks.checkpointing import CheckpointHook
from omiga_torchrl.trainers.hooks.protocol import require_interval
from omiga_torchrl.trainers.step import GRAD_NORM_PREFIX, LOSS_PREFIX

_LOG = logging.getLogger(__name__)

# Of batches that are kept to name what was wrong with one: more leave the processor's cache, and cost 4 %.
_KEPT_BYTES: Final = 2**20
# Steps in a row after which skipping helps no more.
MAX_SKIPS: Final = 100


class _Step(NamedTuple):
    number: int
    losses: TensorDictBase
    batch: TensorDictBase | None


class NaNGuardHook(TrainerHookBase):
    """Finds the first step whose loss or gradient, or whose parameters, are not finite, and names it.

    Outputs of steps are kept as they are and read together every ``interval`` steps, so that the device is
    not waited for at each. Evaluations and checkpoints check before they start, parameters
    included: no policy with a NaN is evaluated or saved.

    Args:
        interval: gradient steps between two checks.
        on_nonfinite: ``"raise"``; ``"skip"``, warn of steps whose update the step itself left out, see
            :func:`omiga_torchrl.trainers.train_step`, and raise after 100 in a row; ``"rollback"`` raises,
            too: :meth:`omiga_torchrl.trainers.OfflineTrainer.train` goes back to the last checkpoint.

    Attributes:
        skipped: steps without an update so far.
        rollbacks: times that the training went back to a checkpoint.

    Raises:
        ValueError: ``interval`` is below one, or ``on_nonfinite`` is unknown.

    Examples:
        >>> from tensordict import TensorDict
        >>> guard = NaNGuardHook(interval=10)
        >>> guard(1, TensorDict({"loss_value": torch.tensor(float("nan"))}))
        >>> guard.check()
        Traceback (most recent call last):
        omiga_torchrl.trainers.diagnosis.NonFiniteError: NaNGuardHook: 'loss_value' is nan at step 1; ...
    """

    def __init__(self, interval: int = 100, on_nonfinite: OnNonFinite = "raise") -> None:
        require_interval(type(self).__name__, interval)
        require_choice(type(self).__name__, on_nonfinite=(on_nonfinite, get_args(OnNonFinite)))
        self.interval, self.on_nonfinite = interval, on_nonfinite
        self.skipped = self.rollbacks = self._skipped_in_a_row = 0
        self._unchecked: list[_Step] = []
        self._batches: deque[TensorDictBase] = deque(maxlen=0)
        self._trainer: Trainer | None = None

    def keep_batch(self, batch: TensorDictBase) -> None:
        """Keeps the batch of a step (stage ``post_optim_log``), up to 1 MiB of the newest ones."""
        if not self._batches.maxlen:
            size = sum(value.numel() * value.element_size() for value in batch.values(True, True))
            self._batches = deque(maxlen=max(1, min(self.interval, _KEPT_BYTES // max(1, size))))
        self._batches.append(batch)

    def __call__(self, optim_steps: int, losses: TensorDictBase) -> None:
        """Keeps one step's losses (stage ``post_optim_complete_log``)."""
        self._unchecked.append(_Step(optim_steps, losses, None))
        if len(self._unchecked) >= self.interval:
            self.check(parameters=False)  # a loss tells of spoilt parameters one step later

    def check(self, parameters: bool = True) -> None:
        """Checks the steps since the last check.

        Args:
            parameters: also check the parameters.

        Raises:
            NonFiniteError: names term or parameter group, step, what stands out in the batch, and the last
                checkpoint.
        """
        kept, self._unchecked = self._unchecked, []
        batches, self._batches = self._batches, deque(maxlen=self._batches.maxlen)
        for place, batch in enumerate(reversed(batches), 1):
            kept[-place] = kept[-place]._replace(batch=batch)
        bad = _not_finite(kept)
        if self.on_nonfinite == "skip":
            self._count_skipped(kept, bad)
        elif bad:
            raise self._error(kept, bad[0])
        if parameters:
            self._check_parameters(kept[-1].number if kept else 0)

    def _count_skipped(self, kept: list[_Step], bad: list[tuple[int, str, float]]) -> None:
        steps = {place for place, _, _ in bad}
        for place in range(len(kept)):
            self._skipped_in_a_row = self._skipped_in_a_row + 1 if place in steps else 0
            if self._skipped_in_a_row >= MAX_SKIPS:
                raise self._error(kept, bad[0], f" None of the last {MAX_SKIPS} steps was finite.")
        if bad:
            self.skipped += len(steps)
            _LOG.warning("train: %d updates skipped: %s", len(steps), self._error(kept, bad[0]))

    def _error(self, kept: list[_Step], bad: tuple[int, str, float], more: str = "") -> NonFiniteError:
        place, name, value = bad
        step, _, batch = kept[place]
        entry = None if batch is None else find_entry(batch)
        said = "" if entry is None else f" In its batch {_kind(entry.value)}: {entry}."
        healthy = kept[place - 1].losses if place else {}
        return NonFiniteError(
            f"NaNGuardHook: {name!r} is {value} at step {step}; expected finite values.{more}{said} "
            f"{advise(entry, cast(Mapping[str, Any], healthy))}{self._last_checkpoint()}",
            step,
        )

    def _last_checkpoint(self) -> str:
        hook = None if self._trainer is None else self._trainer._modules.get("checkpoint")
        if not isinstance(hook, CheckpointHook):
            return ""
        last = latest_checkpoint(hook.folder)
        return f" Last healthy checkpoint: {last if last else 'none yet'}."

    def _check_parameters(self, step: int) -> None:
        """Looks for those that only the last update spoilt."""
        named = list(_parameters_of(self._trainer))
        if not named:
            return
        sizes = torch._foreach_norm([value.detach().float() for *_, value in named], ord=float("inf"))
        if torch.stack(sizes).isfinite().all():
            return
        bad = next(i for i, size in enumerate(sizes) if not size.isfinite())
        group, what, _ = named[bad]
        raise NonFiniteError(
            f"NaNGuardHook: {what} of the parameter group {group!r} is {float(sizes[bad])} after step "
            f"{step}; expected finite values. {advise(None, {})}{self._last_checkpoint()}",
            step,
        )

    def state_dict(self) -> dict[str, Any]:
        """How often it skipped and went back; all steps are checked before a checkpoint."""
        return {
            "skipped": self.skipped,
            "skipped_in_a_row": self._skipped_in_a_row,
            "rollbacks": self.rollbacks,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`, and forgets the steps of the run before."""
        self.skipped = state_dict.get("skipped", 0)  # former versions wrote nothing
        self._skipped_in_a_row = state_dict.get("skipped_in_a_row", 0)
        self.rollbacks = state_dict.get("rollbacks", 0)
        self._unchecked = []
        self._batches.clear()

    def register(self, trainer: Trainer, name: str = "nan_guard") -> None:
        """Adds the hook to a trainer."""
        self._trainer = trainer
        trainer.register_module(name, self)
        trainer.register_op("post_optim_log", self.keep_batch)
        trainer.register_op("post_optim_complete_log", self)


def _not_finite(kept: list[_Step]) -> list[tuple[int, str, float]]:
    """Place of the step, name and value of every loss and gradient norm that is not finite."""
    prefixes = (LOSS_PREFIX, GRAD_NORM_PREFIX)
    rows = [
        (place, name, value)
        for place, step in enumerate(kept)
        for name, value in step.losses.items()
        if name.startswith(prefixes)
    ]
    if not rows:
        return []
    # A cast of each costs more than all the rest.
    scalars = [value if value.dtype == torch.float32 else value.float() for _, _, value in rows]
    values = torch.stack(scalars).detach()
    return [(*rows[i][:2], float(values[i])) for i in (~values.isfinite()).nonzero().flatten().tolist()]


def _parameters_of(trainer: Trainer | None) -> Iterator[tuple[str, str, Tensor]]:
    """Parameter group, name, and tensor of all parameters."""
    optimizer = None if trainer is None else trainer.optimizer
    if trainer is None or not isinstance(optimizer, torch.optim.Optimizer):
        return
    names = {id(parameter): name for name, parameter in trainer.loss_module.named_parameters()}
    for number, group in enumerate(optimizer.param_groups):
        for parameter in group["params"]:
            owner, name = group.get("name", number), names.get(id(parameter), "a parameter")
            yield str(owner), name, parameter


def _kind(value: float) -> str:
    return "the largest entry" if abs(value) < float("inf") else "is a value that is not finite"
