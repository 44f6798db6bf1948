"""Environments of team tasks, in the project's keys."""

from __future__ import annotations

from typing import cast

from omiga_torchrl.action_conventions import ACTION_SCALE, ActionConvention, convert_actions
from omiga_torchrl.envs.actions import ExecutedAction
from omiga_torchrl.envs.choices import DiscretizedActions, directions
from omiga_torchrl.envs.env_checks import check_env
from omiga_torchrl.envs.memory import LastAction, with_memory
from omiga_torchrl.envs.mujoco import make_mujoco_env
from omiga_torchrl.envs.mujoco_env import MujocoTeamEnv
from omiga_torchrl.envs.mujoco_tasks import mujoco_tasks
from omiga_torchrl.envs.own import from_gymnasium, from_pettingzoo, from_torchrl
from omiga_torchrl.envs.pettingzoo import make_pettingzoo_env, pettingzoo_tasks
from omiga_torchrl.envs.registry import EnvFactory, available_tasks, make_env, register_env, unregister_env
from omiga_torchrl.envs.smac import make_smac_env, smac_tasks
from omiga_torchrl.envs.smax import SmaxTeamEnv, make_smax_env
from omiga_torchrl.envs.smax_maps import smax_tasks
from omiga_torchrl.envs.tabular import make_tabular_env
from omiga_torchrl.envs.tabular_games import tabular_tasks
from omiga_torchrl.envs.transforms import ConcatState, TeamReward
from omiga_torchrl.envs.vmas import VMAS_TASKS, VmasTask, make_vmas_env, vmas_tasks
from omiga_torchrl.team_env import TeamEnv

register_env("vmas", make_vmas_env, tasks=vmas_tasks, replace=True, check=False)
register_env("mujoco", make_mujoco_env, tasks=mujoco_tasks, replace=True, check=False)
register_env("pettingzoo", make_pettingzoo_env, tasks=pettingzoo_tasks, replace=True, check=False)
register_env("smac", make_smac_env, tasks=smac_tasks, replace=True, check=False)
register_env("smax", make_smax_env, tasks=smax_tasks, replace=True, check=False)
register_env("tabular", cast(EnvFactory, make_tabular_env), tasks=tabular_tasks, replace=True, check=False)

__all__ = [
    "ACTION_SCALE",
    "VMAS_TASKS",
    "ActionConvention",
    "ConcatState",
    "DiscretizedActions",
    "EnvFactory",
    "ExecutedAction",
    "LastAction",
    "MujocoTeamEnv",
    "SmaxTeamEnv",
    "TeamEnv",
    "TeamReward",
    "VmasTask",
    "available_tasks",
    "check_env",
    "convert_actions",
    "directions",
    "from_gymnasium",
    "from_pettingzoo",
    "from_torchrl",
    "make_env",
    "make_mujoco_env",
    "make_pettingzoo_env",
    "make_smac_env",
    "make_smax_env",
    "make_tabular_env",
    "make_vmas_env",
    "mujoco_tasks",
    "pettingzoo_tasks",
    "register_env",
    "smac_tasks",
    "smax_tasks",
    "tabular_tasks",
    "unregister_env",
    "vmas_tasks",
    "with_memory",
]
