"""`StepState` and `StepInputs`: what a pure step goes from, and what it is told."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from omiga_torchrl.trainers.compiled.optimizers import AdamMoments


class StepState(NamedTuple):
    """Everything that a step changes.

    Attributes:
        tensors: parameters, targets and coefficients of the loss.
        moments: the optimizer's state of every trained parameter.
    """

    tensors: list[Tensor]
    moments: list[AdamMoments]


class StepInputs(NamedTuple):
    """Numbers that a step is told from outside, as scalar tensors, so that other numbers need no other graph.

    Attributes:
        lr: learning rate of each of the optimizer's parameter groups, float64.
        due: for each name in ``update_intervals``, whether it is updated in this step.
        sync: whether a :class:`torchrl.objectives.HardUpdate` copies the targets in this step.
    """

    lr: list[Tensor]
    due: dict[str, Tensor]
    sync: Tensor


def undo_unless(
    healthy: Tensor, tensors: list[Tensor], moments: list[AdamMoments], before: StepState
) -> list[AdamMoments]:
    """Puts ``tensors`` back to what they were unless the step is healthy; returns the moments likewise.

    Args:
        healthy: boolean scalar.
        tensors: after the step; changed in place.
        moments: after the step.
        before: the state before it.
    """
    for tensor, old in zip(tensors, before.tensors, strict=True):
        tensor.copy_(torch.where(healthy, tensor, old))
    return [
        AdamMoments(*(torch.where(healthy, new, old) for new, old in zip(*pair, strict=True)))
        for pair in zip(moments, before.moments, strict=True)
    ]
