"""Offline training on TorchRL's `Trainer` and its hooks."""

from __future__ import annotations

from omiga_torchrl.trainers.checkpoint import (
    checkpoints,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from omiga_torchrl.trainers.hooks import (
    CheckpointHook,
    EvaluationHook,
    HookedTrainer,
    NaNGuardHook,
    TargetUpdateHook,
)
from omiga_torchrl.trainers.metrics import MetricWindow
from omiga_torchrl.trainers.offline import OfflineTrainer
from omiga_torchrl.trainers.stepper import GroupedStepper, make_optimizer

__all__ = [
    "CheckpointHook",
    "EvaluationHook",
    "GroupedStepper",
    "HookedTrainer",
    "MetricWindow",
    "NaNGuardHook",
    "OfflineTrainer",
    "TargetUpdateHook",
    "checkpoints",
    "latest_checkpoint",
    "load_checkpoint",
    "make_optimizer",
    "save_checkpoint",
]
