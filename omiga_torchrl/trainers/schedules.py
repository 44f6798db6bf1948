"""Learning-rate schedules, by name."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from omiga_torchrl.errors import unknown_name

Schedule = Literal["cosine"]


def make_schedule(schedule: Schedule, optimizer: torch.optim.Optimizer, total_steps: int) -> LRScheduler:
    """A scheduler of all groups' learning rates over a whole training.

    Args:
        schedule: ``"cosine"``: each group's rate falls to zero along half a cosine.
        optimizer: whose rates it changes.
        total_steps: gradient steps of the training.

    Raises:
        ValueError: unknown schedule.

    Examples:
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = make_schedule("cosine", optimizer, total_steps=2)
        >>> optimizer.step(), scheduler.step()
        (None, None)
        >>> round(optimizer.param_groups[0]["lr"], 3)
        0.5
    """
    if schedule not in get_args(Schedule):
        raise unknown_name("OfflineTrainer", "lr_schedule", schedule, get_args(Schedule))
    return CosineAnnealingLR(optimizer, total_steps)
