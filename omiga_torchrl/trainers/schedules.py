"""Learning-rate schedules, by name."""

from __future__ import annotations

import logging
import math
from typing import Literal, get_args

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from omiga_torchrl.errors import unknown_name

_LOG = logging.getLogger(__name__)

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


def fit_schedule(scheduler: LRScheduler, total_steps: int) -> None:
    """Makes a resumed cosine that of the whole training's length, and says so if it was another.

    A training that is extended goes on at the rate that the longer cosine has at this step: its result is
    not that of one that was as long from the start. Schedules that know no length stay as they are.

    Args:
        scheduler: loaded from a checkpoint.
        total_steps: gradient steps of the training now.

    Examples:
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = make_schedule("cosine", optimizer, total_steps=2)
        >>> _ = [(optimizer.step(), scheduler.step()) for _ in range(2)]
        >>> fit_schedule(scheduler, total_steps=4)
        >>> round(optimizer.param_groups[0]["lr"], 3), scheduler.T_max
        (0.5, 4)
    """
    if not isinstance(scheduler, CosineAnnealingLR) or scheduler.T_max == total_steps:
        return
    step, former, scheduler.T_max = scheduler.last_epoch, scheduler.T_max, total_steps
    share = (1 + math.cos(math.pi * step / total_steps)) / 2
    for group, base in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True):
        group["lr"] = scheduler.eta_min + (base - scheduler.eta_min) * share
    scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]
    _LOG.info(
        "train: the cosine schedule of %d steps is recomputed for %d: from step %d on the learning rate is "
        "%.3g of its start.", former, total_steps, step, share,
    )  # fmt: skip
