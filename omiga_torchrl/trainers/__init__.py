"""Offline training on TorchRL's `Trainer` and its hooks."""

from __future__ import annotations

from omiga_torchrl.trainers.checkpoint import (
    checkpoints,
    latest_checkpoint,
    load_checkpoint,
    readable_checkpoint,
    save_checkpoint,
)
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.hooks import (
    CheckpointHook,
    EvaluationHook,
    HookedTrainer,
    NaNGuardHook,
    ValueBoundHook,
)
from omiga_torchrl.trainers.metrics import MetricWindow
from omiga_torchrl.trainers.offline import OfflineTrainer
from omiga_torchrl.trainers.parameter_groups import make_optimizer
from omiga_torchrl.trainers.step import AdaptiveLoss, clip_gradients, train_step
from omiga_torchrl.trainers.stepper import GroupedStepper

__all__ = [
    "AdaptiveLoss",
    "CheckpointHook",
    "EvaluationHook",
    "GroupedStepper",
    "HookedTrainer",
    "MetricWindow",
    "NaNGuardHook",
    "NonFiniteError",
    "OfflineTrainer",
    "ValueBoundHook",
    "checkpoints",
    "clip_gradients",
    "latest_checkpoint",
    "load_checkpoint",
    "make_optimizer",
    "readable_checkpoint",
    "save_checkpoint",
    "train_step",
]
