"""Hooks of a trainer, one a file; they know a trainer by :class:`HookedTrainer` only."""

from __future__ import annotations

from omiga_torchrl.trainers.hooks.checkpointing import CheckpointHook
from omiga_torchrl.trainers.hooks.evaluation import EvaluationHook
from omiga_torchrl.trainers.hooks.nan_guard import NaNGuardHook
from omiga_torchrl.trainers.hooks.protocol import HookedTrainer
from omiga_torchrl.trainers.hooks.value_bound import ValueBoundHook

__all__ = ["CheckpointHook", "EvaluationHook", "HookedTrainer", "NaNGuardHook", "ValueBoundHook"]
