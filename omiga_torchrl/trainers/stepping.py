"""Which stepper a trainer gets: eager, with a compiled loss, or compiled as a whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torchrl.objectives import HardUpdate, SoftUpdate
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.trainers import OptimizationStepper

from omiga_torchrl.errors import require_choice
from omiga_torchrl.trainers.parameter_groups import ParameterGroups
from omiga_torchrl.trainers.precision import Precision
from omiga_torchrl.trainers.stepper import GroupedStepper

_LOG = logging.getLogger(__name__)

CompileMode = Literal["auto", "step", "loss", "none"]

# A compiled step saves 2 to 5 ms, and compiling takes half a minute once.
AUTO_STEPS = 20_000


@dataclass(frozen=True)
class StepOptions:
    """Arguments that all steppers share, see :class:`omiga_torchrl.trainers.GroupedStepper`."""

    parameter_groups: ParameterGroups
    clip_grad_norm: float | None
    target_updater: TargetNetUpdater | None
    update_intervals: Mapping[str, int] | None
    precision: Precision
    skip_nonfinite: bool


def make_stepper(
    mode: CompileMode, total_steps: int, optimizer: torch.optim.Optimizer, options: StepOptions
) -> OptimizationStepper:
    """The stepper of a mode.

    Args:
        mode: as ``compile`` of :class:`omiga_torchrl.trainers.OfflineTrainer`.
        total_steps: gradient steps of the training.
        optimizer: of the trainer.
        options: of the step.

    Raises:
        ValueError: an unknown mode, or ``"step"`` with an optimizer or target updater without compiled form.
    """
    require_choice("OfflineTrainer", compile=(mode, get_args(CompileMode)))
    eager = GroupedStepper(**vars(options), compile_loss=mode == "loss")
    if mode in ("loss", "none"):
        return eager
    if mode == "auto" and (reason := _why_eager(total_steps, optimizer, options)):
        _LOG.info("train: compile=auto trains eagerly: %s.", reason)
        return eager
    # Inductor takes a second to import.
    from omiga_torchrl.trainers.compiled.optimizers import read_settings
    from omiga_torchrl.trainers.compiled.stepper import CompiledStepper

    read_settings(optimizer)
    return CompiledStepper(**vars(options), fallback=eager if mode == "auto" else None)


def _why_eager(total_steps: int, optimizer: torch.optim.Optimizer, options: StepOptions) -> str | None:
    if total_steps < AUTO_STEPS:
        return f"{total_steps} steps are too few to earn the time of compiling (from {AUTO_STEPS})"
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return f"{type(optimizer).__name__} has no compiled form"
    if not isinstance(options.target_updater, SoftUpdate | HardUpdate | None):
        return f"{type(options.target_updater).__name__} has no compiled form"
    return None
