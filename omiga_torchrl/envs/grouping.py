"""Which agents form a group, and what a team of two sides wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omiga_torchrl import keys
from omiga_torchrl.envs.transforms import AGGREGATES


def group_name(agent: str) -> str:
    """The group of an agent by TorchRL's convention: its name without the number.

    Examples:
        >>> group_name("lead_adversary_0")
        'lead_adversary'
    """
    return agent.rpartition("_")[0]


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
