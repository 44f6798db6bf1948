"""The multi-particle environments (MPE) of PettingZoo as team tasks, those of unequal agents included."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import torch
from torchrl.envs import EnvBase

from omiga_torchrl.envs.grouping import require_reward_rule, team_env
from omiga_torchrl.envs.pettingzoo_env import PettingZooTeamEnv
from omiga_torchrl.errors import unknown_name

_MAX_STEPS = 25
_TASKS = (
    *("simple_adversary_v3", "simple_crypto_v3", "simple_push_v3", "simple_reference_v3"),
    *("simple_speaker_listener_v4", "simple_spread_v3", "simple_tag_v3", "simple_world_comm_v3"),
)


def pettingzoo_tasks() -> list[str]:
    """The scenarios of MPE, sorted; none where the package mpe2 is missing.

    Examples:
        >>> set(pettingzoo_tasks()) <= {*_TASKS}
        True
    """
    return sorted(_TASKS) if importlib.util.find_spec("mpe2") else []


def make_pettingzoo_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: str | None = None,
    keep_agent_rewards: bool = False,
    **options: Any,
) -> EnvBase:
    """The MPE scenario `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    Agents form groups by their names; those whose spaces differ within one are split further. The state
    is the observations of all agents in a row. Games are stepped one by one: VMAS's versions are faster.

    Args:
        name: scenario with its version, e.g. ``"simple_tag_v3"``.
        num_envs: games played together.
        seed: seed of the games; each has its own random stream.
        max_steps: episode length in steps; ``None`` is MPE's own, 25.
        device: where tensors go; the games run on the CPU.
        team_reward: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`;
            ``None`` is ``"mean"``. In games of two sides, e.g. ``simple_tag_v3``, it has to be given.
        keep_agent_rewards: whether the agents' own rewards ``(group, "reward")`` are given as well.
        options: arguments of the scenario, e.g. ``continuous_actions=True``; actions are discrete by default.

    Raises:
        ImportError: mpe2 is not installed.
        ValueError: unknown scenario, or two sides without a rule for the team's reward.

    Examples:
        >>> env = make_pettingzoo_env("simple_speaker_listener_v4", num_envs=2)  # doctest: +SKIP
        >>> env.group_map  # doctest: +SKIP
        {'speaker': ['speaker_0'], 'listener': ['listener_0']}
    """
    if importlib.util.find_spec("mpe2") is None:
        raise ImportError('make_env: the package mpe2 is missing. pip install "omiga-torchrl[pettingzoo]"')
    if name not in _TASKS:
        raise unknown_name("make_env", "task", f"pettingzoo/{name}", [f"pettingzoo/{one}" for one in _TASKS])
    module, limit = importlib.import_module(f"mpe2.{name}"), max_steps or _MAX_STEPS
    # The counter below ends episodes: MPE itself would only count the same steps.
    games = [
        module.parallel_env(max_cycles=limit + 1, render_mode="rgb_array", **options) for _ in range(num_envs)
    ]
    base = PettingZooTeamEnv(games, seed=seed, device=device)
    sides = {getattr(agent, "adversary", False) for agent in games[0].unwrapped.world.agents}
    rule = require_reward_rule(f"pettingzoo/{name}", team_reward, base.group_map, two_sides=len(sides) > 1)
    return team_env(base, rule, max_steps=limit, keep_agent_rewards=keep_agent_rewards)
