"""Which agents form a group, and what a team of two sides wants."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tensordict import NestedKey
from torchrl.envs import ActionMask, Compose, EnvBase, RewardSum, StepCounter, Transform, TransformedEnv

from omiga_torchrl import keys
from omiga_torchrl.envs.transforms import AGGREGATES, ConcatState, TeamReward


def group_name(agent: str) -> str:
    """The group of an agent by TorchRL's convention: its name without the number, or its name.

    Examples:
        >>> group_name("lead_adversary_0"), group_name("tower")
        ('lead_adversary', 'tower')
    """
    name, _, number = agent.rpartition("_")
    return name if name and number.isdigit() else agent


def uniform_groups(group_map: Mapping[str, Sequence[str]], spaces: Mapping[str, Any]) -> dict[str, list[str]]:
    """Groups whose agents have equal spaces.

    Args:
        group_map: name of every group to its agents.
        spaces: name of every agent to its spaces, in any form that compares.

    Returns:
        The groups, those with unequal agents split into ``"<name>_0"``, ``"<name>_1"``, ...; a single one is
        called ``"agents"``.

    Examples:
        >>> uniform_groups({"cars": ["a", "b", "c"]}, {"a": 2, "b": 3, "c": 2})
        {'cars_0': ['a', 'c'], 'cars_1': ['b']}
    """
    found: dict[str, list[str]] = {}
    for name, agents in group_map.items():
        kinds: list[Any] = []
        for agent in agents:
            if spaces[agent] not in kinds:
                kinds.append(spaces[agent])
        for index, kind in enumerate(kinds):
            split = name if len(kinds) == 1 else f"{name}_{index}"
            found[split] = [agent for agent in agents if spaces[agent] == kind]
    return {keys.GROUP: next(iter(found.values()))} if len(found) == 1 else found


def require_reward_rule(task: str, rule: str | None, groups: Iterable[str], *, two_sides: bool) -> str:
    """The rule of the team's reward, ``"mean"`` where none is given.

    Args:
        task: name of the task, for the message.
        rule: what was asked for; see :class:`omiga_torchrl.envs.TeamReward`.
        groups: names of the groups.

    Keyword Args:
        two_sides: whether policies play both sides of a game, whose rewards sum to nothing that a team could
            want.

    Raises:
        ValueError: there is no rule for two sides.

    Examples:
        >>> require_reward_rule("vmas/navigation", None, ["agents"], two_sides=False)
        'mean'
    """
    if rule is None and two_sides:
        raise ValueError(
            f"make_env: team_reward of {task} must be given, as policies play both sides of a game, got "
            f"none. Choose from: {', '.join((*AGGREGATES, *groups))}; a group's name is its side."
        )
    return rule or "mean"


def team_env(
    base: EnvBase,
    rule: str,
    *transforms: Transform,
    max_steps: int | None,
    keep_agent_rewards: bool = False,
) -> EnvBase:
    """An environment of agents as a team's, with what it lacks of one reward, state, return and time limit.

    Args:
        base: has ``group_map`` and ``(group, "observation")``; where it has no reward of the team, also
            ``(group, "reward")``.
        rule: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`.
        *transforms: to come first.

    Keyword Args:
        max_steps: episode length in steps; its end is a truncation. None leaves it to the environment.
        keep_agent_rewards: whether the agents' own rewards are given as well.
    """
    lacks_reward = keys.REWARD not in base.reward_keys
    seen, observations = base.full_observation_spec.keys(True, True), _each(base, "observation")
    lacks_state = keys.STATE not in seen and all(key in seen for key in observations)
    if max_steps is None and keys.TRUNCATED not in base.full_done_spec.keys(True, True):
        max_steps = sys.maxsize  # only so does the counter add the flag
    added: list[Transform] = [*transforms]
    if lacks_reward:
        own = _each(base, "reward")
        added.append(TeamReward(rule, agent_reward_key=own, keep_agent_rewards=keep_agent_rewards))
    if lacks_state:
        added.append(ConcatState(observation_key=observations))
    added += legal_random_actions(base)
    added += [RewardSum(in_keys=[keys.REWARD], out_keys=[keys.EPISODE_RETURN]), StepCounter(max_steps)]
    env = TransformedEnv(base, Compose(*added))
    if lacks_reward:
        env.team_reward = rule
    return env


def legal_random_actions(env: EnvBase) -> list[Transform]:
    """Transforms that keep random actions legal, one for each group with an action mask.

    Args:
        env: has ``group_map``.
    """
    found = env.full_observation_spec.keys(True, True)
    return [
        ActionMask(action_key=(group, "action"), mask_key=(group, "action_mask"))
        for group in env.group_map
        if (group, "action_mask") in found
    ]


def _each(env: EnvBase, entry: str) -> list[NestedKey]:
    return [(group, entry) for group in env.group_map]
