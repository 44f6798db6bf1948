"""Stops a run that has diverged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.trainers.hooks.protocol import require_interval
from omiga_torchrl.trainers.step import GRAD_NORM_PREFIX, LOSS_PREFIX


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
        require_interval(type(self).__name__, interval)
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
