"""Environments of team tasks, in the project's keys."""

from __future__ import annotations

from omiga_torchrl.envs.registry import EnvFactory, available_tasks, make_env, register_env, unregister_env
from omiga_torchrl.envs.transforms import ConcatState, TeamReward
from omiga_torchrl.envs.vmas import VMAS_TASKS, VmasTask, make_vmas_env, vmas_tasks

register_env("vmas", make_vmas_env, tasks=vmas_tasks, replace=True)

__all__ = [
    "VMAS_TASKS",
    "ConcatState",
    "EnvFactory",
    "TeamReward",
    "VmasTask",
    "available_tasks",
    "make_env",
    "make_vmas_env",
    "register_env",
    "unregister_env",
    "vmas_tasks",
]
