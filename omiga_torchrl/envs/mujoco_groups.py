"""Groups of agents of a MuJoCo team: padded arrays of all agents, divided by the agents' sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.envs.grouping import uniform_groups

Array = npt.NDArray[Any]


class AgentGroups:
    """The agents of a team, in one group with padding or in groups of equal sizes without.

    Args:
        observation_sizes: features that each agent observes, `N` numbers.
        action_sizes: features of each agent's action, `N` numbers.
        padded: whether all agents are in the group ``"agents"``, padded to the largest; otherwise those of
            equal sizes form the groups ``"agents_0"``, ``"agents_1"``, ... in the order of their first
            agents, or ``"agents"`` if there is one.

    Attributes:
        members: name of every group to the numbers of its agents.

    Examples:
        >>> groups = AgentGroups([5, 5, 5], [1, 2, 1], padded=False)
        >>> groups.group_map
        {'agents_0': ['agent_0', 'agent_2'], 'agents_1': ['agent_1']}
        >>> groups.sizes("agents_1")
        (1, 5, 2)
    """

    def __init__(
        self, observation_sizes: Sequence[int], action_sizes: Sequence[int], *, padded: bool
    ) -> None:
        self._observation_sizes, self._action_sizes = tuple(observation_sizes), tuple(action_sizes)
        kinds = zip(observation_sizes, action_sizes, strict=True)
        spaces = {f"agent_{agent}": kind for agent, kind in enumerate(kinds)}
        team = {keys.GROUP: list(spaces)}
        #: Name of every group to its agents' names, ``agent_<number>``.
        self.group_map = team if padded else uniform_groups(team, spaces)
        numbers = {agent: number for number, agent in enumerate(spaces)}
        self.members = {name: [numbers[agent] for agent in agents] for name, agents in self.group_map.items()}
        self._action_shape = len(spaces), max(action_sizes)

    @property
    def observation_mask(self) -> Tensor:
        """Which features of padded observations are real `[N, O]`."""
        return _mask(self._observation_sizes)

    @property
    def action_feature_mask(self) -> Tensor:
        """Which features of padded actions are real `[N, A]`."""
        return _mask(self._action_sizes)

    def sizes(self, name: str) -> tuple[int, int, int]:
        """Agents, features of an observation and of an action of one group."""
        agents = self.members[name]
        observations = max(self._observation_sizes[agent] for agent in agents)
        return len(agents), observations, max(self._action_sizes[agent] for agent in agents)

    def group_of(self, agent: int) -> str:
        """The group of an agent, by its number."""
        return next(name for name, agents in self.members.items() if agent in agents)

    def split(self, observation: Array) -> dict[str, Array]:
        """Padded observations `[B, N, O]` as those of the groups."""
        if len(self.members) == 1:
            return dict.fromkeys(self.members, observation)
        return {name: observation[:, agents, : self.sizes(name)[1]] for name, agents in self.members.items()}

    def join(self, actions: Mapping[str, Array]) -> Array:
        """Actions of the groups as padded ones `[B, N, A]`."""
        if len(self.members) == 1:
            return actions[next(iter(self.members))]
        batch = len(next(iter(actions.values())))
        joined = np.zeros((batch, *self._action_shape), np.float32)
        for name, agents in self.members.items():
            joined[:, agents, : self.sizes(name)[2]] = actions[name]
        return joined


def _mask(sizes: Sequence[int]) -> Tensor:
    return torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
