"""The sizes of data, and in what they differ from those of an environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensordict import TensorDict, TensorDictBase
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.action_bounds import same_bounds, told_box
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.env_specs import transforms_of
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec


def spec_of(data: TensorDictBase) -> AnyTeamSpec:
    """The sizes of transitions, of every group that they have.

    Args:
        data: transitions `[T]`.

    Raises:
        DataError: a number of discrete actions is unknown.

    Examples:
        >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
        >>> spec_of(spec.fake_batch(5)) == spec
        True
    """
    names = group_names(data)
    if names in ([], [keys.GROUP]):
        return TeamSpec.from_batch(data)
    groups = {}
    for name in names:
        entries: dict[Any, Any] = {keys.GROUP: data[name], keys.STATE: data[keys.STATE]}
        groups[name] = TeamSpec.from_batch(TensorDict(entries, [len(data)]))
    return TeamSpec.from_groups(groups)


def find_spec_differences(recorded: AnyTeamSpec, given: AnyTeamSpec, whose: str = "the data") -> list[str]:
    """In what the sizes of data, or a policy, and environment differ, group by group and agent by agent.

    Args:
        recorded: of the data.
        given: of the environment.
        whose: what the first sizes are of, for the messages.

    Examples:
        >>> one, two = TeamSpec(2, 6, 3, 20), TeamSpec(2, 6, 3, 20, agents=("car_0", "bus_0"))
        >>> find_spec_differences(one, TeamSpec(2, 5, 3, 20))
        ['observation_size is 6 in the data and 5 in the environment']
        >>> data = TeamSpec.from_groups({"cars": two})
        >>> find_spec_differences(data, TeamSpec.from_groups({"cars": two, "bikes": one}))
        ["group 'bikes' (agents bikes_0, bikes_1) is in the environment only"]
    """
    if isinstance(recorded, TeamSpec) and isinstance(given, TeamSpec):
        return list(_in_sizes(recorded, given, "", whose))
    found = []
    for name, group in given.groups.items():
        if name not in recorded.groups:
            found.append(f"group {name!r} (agents {_listed(given, name)}) is in the environment only")
        else:
            found += _in_sizes(recorded.groups[name], group, f"group {name!r}: ", whose)
    for name in recorded.groups:
        if name not in given.groups:
            found.append(f"group {name!r} (agents {_listed(recorded, name)}) is in {whose} only")
    found += _in_members(recorded, given, whose)
    if not found and list(recorded.groups) != list(given.groups):
        found.append(
            f"groups come in the order {', '.join(recorded.groups)} in {whose} and "
            f"{', '.join(given.groups)} in the environment"
        )
    if recorded.state_size != given.state_size:
        found.append(
            f"state_size is {recorded.state_size} in {whose} and {given.state_size} in the environment"
        )
    return found


def _in_sizes(recorded: TeamSpec, given: TeamSpec, where: str, whose: str) -> Iterator[str]:
    ours, theirs = recorded.to_dict(), given.to_dict()
    for name in ours:
        # Of several groups the state is the team's, and is compared once.
        if name in ("agents", "clipped", "action_low", "action_high") or (where and name == "state_size"):
            continue
        if ours[name] != theirs[name]:
            yield f"{where}{name} is {ours[name]} in {whose} and {theirs[name]} in the environment"
    sizes = [(one.n_agents, one.action_size, one.discrete) for one in (recorded, given)]
    if sizes[0] == sizes[1]:
        yield from _in_bounds(recorded, given, where, whose)


def _in_bounds(recorded: TeamSpec, given: TeamSpec, where: str, whose: str) -> Iterator[str]:
    low, high = given.action_low, given.action_high
    if same_bounds(recorded.action_low, low) and same_bounds(recorded.action_high, high):
        return
    options = f"action_low={low}, action_high={high}"
    hint = f": if the data are in the environment's units, open them with {options}"
    yield (
        f"{where}actions are in {told_box(recorded.action_low, recorded.action_high)} in {whose} and in "
        f"{told_box(low, high)} in the environment{hint if whose == 'the data' else ''}"
    )


def _in_members(recorded: AnyTeamSpec, given: AnyTeamSpec, whose: str) -> Iterator[str]:
    """Agents by their names, where data and environment name them."""
    ours = {agent: name for name, group in recorded.groups.items() for agent in group.agents}
    theirs = {agent: name for name, group in given.groups.items() for agent in group.agents}
    if not (ours and theirs):
        return
    for agent in dict.fromkeys((*ours, *theirs)):
        if agent not in theirs and ours[agent] in given.groups:
            yield f"agent {agent!r} of group {ours[agent]!r} is in {whose} only"
        elif agent not in ours and theirs[agent] in recorded.groups:
            yield f"agent {agent!r} of group {theirs[agent]!r} is in the environment only"
        elif agent in ours and agent in theirs and ours[agent] != theirs[agent]:
            yield (
                f"agent {agent!r} is in group {ours[agent]!r} in {whose} and in {theirs[agent]!r} in the "
                "environment"
            )


def _listed(spec: AnyTeamSpec, group: str) -> str:
    return ", ".join(spec.group_map[group])


def team_reward_of(env: EnvBase) -> str:
    """How an environment makes the team's reward of the agents', ``""`` where it does not say.

    Args:
        env: says it as ``team_reward``, or by its transform :class:`omiga_torchrl.envs.TeamReward`.
    """
    return str(getattr(env, "team_reward", "") or _of_transforms(env, "aggregate"))


def action_convention_of(env: EnvBase) -> str:
    """The convention by which an environment executes actions: ``"raw"`` unless it says another one.

    Args:
        env: says it by its transform :class:`omiga_torchrl.envs.ExecutedAction`, or as ``action_convention``.
    """
    return str(getattr(env, "action_convention", "") or _of_transforms(env, "convention") or "raw")


def _of_transforms(env: EnvBase, name: str) -> Any:
    return next((getattr(one, name) for one in transforms_of(env) if hasattr(one, name)), "")
