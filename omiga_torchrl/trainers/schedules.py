"""Learning-rate schedules of a trainer, by name."""

from __future__ import annotations

from typing import Literal

from torch.optim.lr_scheduler import CosineAnnealingLR
from torchrl.trainers import LRSchedulerHook

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.trainers.offline import OfflineTrainer

Schedule = Literal["cosine"]


def schedule_lr(trainer: OfflineTrainer, schedule: Schedule | None) -> None:
    """Make the learning rates of all groups follow a schedule over the whole training.

    Args:
        trainer: a trainer before its first step; the schedule's state becomes part of its checkpoints.
        schedule: ``"cosine"``: each group's rate falls to zero along half a cosine. ``None``: constant.

    Raises:
        ValueError: unknown schedule.
    """
    if schedule is None:
        return
    if schedule != "cosine":
        raise unknown_name("schedule_lr", "schedule", schedule, ("cosine",))
    LRSchedulerHook(CosineAnnealingLR(trainer.optimizer, trainer.total_frames)).register(trainer)
