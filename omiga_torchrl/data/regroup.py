"""A plain team read as a team of groups: by the user's own choice, or by what is padded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts import Reading, ReadOptions
from omiga_torchrl.data.padding import AgentPadding, PaddingScan
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import ActionBound, TeamSpec

Features = tuple[int, ...]


@dataclass(frozen=True)
class _Choice:
    """A group of agents and the features that are theirs; ``None`` means all.

    Attributes:
        agents: their numbers in the plain team.
        observation: observation features.
        action: features of continuous actions.
        n_actions: number of discrete actions.
    """

    agents: tuple[int, ...]
    observation: Features | None = None
    action: Features | None = None
    n_actions: int | None = None

    def take(self, team: AgentArrays) -> AgentArrays:
        """The arrays of the group."""
        agents = list(self.agents)
        arrays = {name: value[:, agents] for name, value in team.arrays().items()}
        if self.observation is not None:
            arrays["observation"] = arrays["observation"][..., list(self.observation)]
        if self.action is not None:
            arrays["action"] = arrays["action"][..., list(self.action)]
        if "action_mask" in arrays:
            arrays["action_mask"] = arrays["action_mask"][..., : self.n_actions]
        return AgentArrays(**arrays)

    def _bound(self, team: TeamSpec, bound: ActionBound, features: Sequence[int]) -> ActionBound:
        """The bounds of the group's own agents and features."""
        if isinstance(bound, float | int):
            return bound
        rows = np.broadcast_to(np.asarray(bound), (team.n_agents, team.action_size))
        return tuple(tuple(row) for row in rows[np.ix_(list(self.agents), list(features))].tolist())

    def sizes(self, team: TeamSpec, state_size: int) -> TeamSpec:
        """The sizes of the group, of those of the plain team."""
        action = range(team.action_size) if self.action is None else self.action
        low, high = (self._bound(team, bound, action) for bound in (team.action_low, team.action_high))
        return TeamSpec(
            len(self.agents),
            team.observation_size if self.observation is None else len(self.observation),
            self.n_actions or len(action),
            state_size,
            discrete=team.discrete,
            masked=team.masked,
            action_low=low,
            action_high=high,
            agents=tuple(team.agent_names[agent] for agent in self.agents),
        )


def regroup(
    read: Callable[[], Reading], options: ReadOptions, known: Mapping[str, Any]
) -> tuple[Reading, dict[str, Any]]:
    """Open a dataset with the groups that its ``ReadOptions.groups`` asks for.

    Args:
        read: opens it.
        options: how it is read.
        known: what is known of its card.

    Returns:
        The open dataset and what is known of the card then.

    Raises:
        DataError: agents that are not there, a team that has groups already, or nothing that is padded.
    """
    reading, known = read(), dict(known)
    if reading.is_grouped or options.groups in (None, "all"):
        return reading, known
    blocks = iter(reading.blocks)
    first = next(blocks, None)
    if first is None:
        return reading, known
    if not first.is_plain:
        raise DataError(
            f"OfflineDataset: groups={options.groups!r} needs a team of one group, the data have the groups "
            f"{', '.join(first.groups)}. Leave it out."
        )
    team = first.groups[keys.GROUP]
    if options.groups == "unpadded":
        choices = _by_padding(read(), team)
    else:
        choices = _by_name(options.groups, team.n_agents)

    def regrouped() -> Iterator[Episodes]:
        yield _split(first, choices)
        for block in blocks:
            yield _split(block, choices)

    if "sizes" in known:
        sizes = TeamSpec.from_dict(known["sizes"])
        state = _split(first, choices).joint_state().shape[-1]
        groups = {name: choice.sizes(sizes.groups[keys.GROUP], state) for name, choice in choices.items()}
        known["sizes"] = TeamSpec.from_groups(groups).to_dict()
    count = reading.n_actions
    known_actions = {name: choice.n_actions or count for name, choice in choices.items()}
    return Reading(
        regrouped(),
        steps=reading.steps,
        n_actions={name: one for name, one in known_actions.items() if isinstance(one, int)} or None,
        agents={name: [f"agent_{agent}" for agent in choice.agents] for name, choice in choices.items()},
        actions=reading.actions,
        left_out=reading.left_out,
        ends=reading.ends,
    ), known


def _split(block: Episodes, choices: Mapping[str, _Choice]) -> Episodes:
    team = block.groups[keys.GROUP]
    return block.replaced(groups={name: choice.take(team) for name, choice in choices.items()})


def _by_name(groups: Any, n_agents: int) -> dict[str, _Choice]:
    choices = {name: _Choice(tuple(agents)) for name, agents in groups.items()}
    beyond = [agent for choice in choices.values() for agent in choice.agents if agent >= n_agents]
    if beyond:
        raise DataError(
            f"OfflineDataset: groups names the agents {beyond}, the data have {n_agents}, numbered from 0."
        )
    return choices


def _by_padding(reading: Reading, team: AgentArrays) -> dict[str, _Choice]:
    """Agents that have the same features are a group; groups are in the order of their first agents."""
    scan = PaddingScan()
    for block in reading.blocks:
        group = block.groups[keys.GROUP]
        scan.add(
            group.observation,
            action=group.action,
            action_mask=group.action_mask,
            present=group.agent_mask,
        )
    padding = {one.agent: one for one in scan.found()}
    if not padding:
        raise DataError(
            "OfflineDataset: groups='unpadded' found no padded feature: none is constant for one agent and "
            "not for another. Leave it out."
        )
    members: dict[tuple[Any, ...], list[int]] = {}
    for agent in range(team.n_agents):
        members.setdefault(_features(padding.get(agent, AgentPadding(agent)), team), []).append(agent)
    return {
        f"group_{index}": _Choice(tuple(agents), *features)
        for index, (features, agents) in enumerate(members.items())
    }


def _features(padding: AgentPadding, team: AgentArrays) -> tuple[Features, Features | None, int | None]:
    observation = _without(team.observation, padding.observation)
    mask = team.action_mask
    if not team.is_discrete:
        return observation, _without(team.action, padding.action), None
    return observation, None, None if mask is None else mask.shape[-1] - len(padding.illegal)


def _without(values: Array, features: Features) -> Features:
    return tuple(np.setdiff1d(np.arange(values.shape[-1]), features).tolist())
