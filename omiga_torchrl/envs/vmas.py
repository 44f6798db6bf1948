"""VMAS tasks: vectorised 2-D team tasks that learn in minutes on a CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torchrl.envs import Compose, EnvBase, RewardSum, StepCounter, TransformedEnv
from torchrl.envs.libs.vmas import VmasEnv

from omiga_torchrl import keys
from omiga_torchrl.envs.transforms import Aggregate, ConcatState, TeamReward
from omiga_torchrl.errors import unknown_name


@dataclass(frozen=True)
class VmasTask:
    """The defaults of one scenario.

    Attributes:
        max_steps: episode length in steps.
        scenario: arguments of the VMAS scenario.
    """

    max_steps: int = 100
    scenario: Mapping[str, Any] = field(default_factory=dict)


# Scenarios whose agents form one group with equal spaces and one action range.
VMAS_TASKS: dict[str, VmasTask] = {
    "balance": VmasTask(200, {"n_agents": 3}),
    "ball_passage": VmasTask(),
    "ball_trajectory": VmasTask(),
    "buzz_wire": VmasTask(),
    "discovery": VmasTask(),
    "dispersion": VmasTask(100, {"n_agents": 4, "n_food": 4}),
    "dropout": VmasTask(),
    "flocking": VmasTask(),
    "give_way": VmasTask(100),
    "joint_passage": VmasTask(),
    "joint_passage_size": VmasTask(),
    "multi_give_way": VmasTask(),
    "navigation": VmasTask(100, {"n_agents": 3}),
    "passage": VmasTask(),
    "reverse_transport": VmasTask(150),
    "sampling": VmasTask(),
    "simple_spread": VmasTask(100),
    "transport": VmasTask(150),
    "wheel": VmasTask(100),
    "wind_flocking": VmasTask(),
}


def vmas_tasks() -> list[str]:
    """The scenarios with known defaults, sorted.

    Examples:
        >>> "balance" in vmas_tasks()
        True
    """
    return sorted(VMAS_TASKS)


def make_vmas_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: Aggregate = "mean",
    **scenario_kwargs: Any,
) -> EnvBase:
    """The VMAS scenario `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    .. note:: VMAS keeps one random stream per process, apart from PyTorch's global one
        and shared by all its environments: ``seed`` restarts that stream, and stepping
        or resetting a second environment moves the first one's. Seed right before a
        rollout that must be repeatable.

    Args:
        name: scenario, e.g. ``"navigation"``.
        num_envs: environments simulated together.
        seed: seed of VMAS's random stream.
        max_steps: episode length in steps; ``None`` means the task's own.
        device: where VMAS runs.
        team_reward: how the agents' rewards become the team's: ``"mean"`` (default)
            keeps the scale of the rewards that VMAS scenarios share among agents.
        scenario_kwargs: arguments of the scenario; they override the task's defaults.

    Raises:
        ImportError: VMAS is not installed.
        ValueError: unknown scenario, or agents that do not form one uniform team.

    Examples:
        >>> make_vmas_env("navigation", n_agents=2).rollout(5)["state"].shape
        torch.Size([1, 5, 36])
    """
    _require_vmas()
    if name not in VMAS_TASKS and name not in VmasEnv.available_envs:
        raise unknown_name("make_env", "task", f"vmas/{name}", [f"vmas/{task}" for task in vmas_tasks()])
    task = VMAS_TASKS.get(name, VmasTask())
    # `max_steps=None`: VMAS would report a time-out as a termination, which cuts
    # bootstrapping; StepCounter reports it as a truncation.
    base = VmasEnv(
        name,
        num_envs=num_envs,
        continuous_actions=True,
        max_steps=None,
        seed=seed,
        device=device,
        scenario_kwargs={**task.scenario, **scenario_kwargs},
    )
    _require_one_team(name, base)
    return TransformedEnv(
        base,
        Compose(
            TeamReward(team_reward),
            ConcatState(),
            RewardSum(in_keys=[keys.REWARD], out_keys=[keys.EPISODE_RETURN]),
            StepCounter(max_steps or task.max_steps),
        ),
    )


def _require_vmas() -> None:
    if importlib.util.find_spec("vmas") is None:
        raise ImportError('make_env: the package vmas is missing. pip install "omiga-torchrl[vmas]"')


def _require_one_team(name: str, env: VmasEnv) -> None:
    groups = {group: len(members) for group, members in env.group_map.items()}
    if set(groups) != {keys.GROUP} or env.het_specs:
        raise ValueError(
            f"make_env: vmas/{name} has the groups {groups}"
            f"{' with unequal spaces' if env.het_specs else ''}; expected one group {keys.GROUP!r} "
            f"with equal spaces. Choose a cooperative scenario, e.g. 'vmas/navigation'."
        )
