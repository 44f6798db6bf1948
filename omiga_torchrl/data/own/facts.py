"""`Facts`: what holds for all own data that come through one door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.own.forms import Team
from omiga_torchrl.data.own.step_dicts import is_step_dicts
from omiga_torchrl.data.own.values import to_array


@dataclass
class Facts:
    """Facts of all runs: those that the user gave, and those that the first ones tell.

    Attributes:
        where: who reads them, for messages.
        options: how they are read.
        team: names of groups and agents, if they were given.
        n_actions: number of discrete actions, of every group if they differ.
        has_agent_mask: whether steps as dicts get an ``agent_mask``: if agents come and go in any of them.
        agents: names of all agents in steps as dicts, as far as they are known.
        zeros: of steps as dicts, an array of zeros for what an agent has under a name.
    """

    where: str
    options: ReadOptions = field(default_factory=ReadOptions)
    team: Team | None = None
    n_actions: int | Mapping[str, int] | None = None
    has_agent_mask: bool = True
    agents: tuple[str, ...] = ()
    zeros: dict[tuple[str, str], Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.team is not None:
            self.agents = tuple(agent for group in self._groups() for agent in group)

    def _groups(self) -> Iterable[Sequence[str]]:
        if self.team is None:
            return []
        return self.team.values() if isinstance(self.team, Mapping) else [self.team]

    def actions_of(self, group: str) -> int | None:
        """The number of discrete actions of a group, if it is known."""
        return self.n_actions.get(group) if isinstance(self.n_actions, Mapping) else self.n_actions

    def learn(self, given: Mapping[str, Any]) -> None:
        """Take in the agents and sizes in steps as dicts."""
        for name, steps in given.items():
            if not is_step_dicts(steps):
                continue
            for agent, value in ((agent, value) for one in steps for agent, value in one.items()):
                if (name, agent) not in self.zeros:
                    self.zeros[name, agent] = np.zeros_like(to_array(value, name, self.where))
        if self.team is None and is_step_dicts(given.get("observation")):
            seen = [agent for one in given["observation"] for agent in one]
            self.agents = tuple(dict.fromkeys([*self.agents, *seen]))

    def nothing(self, name: str, agent: str) -> Array:
        """Zeros in place of what an agent lacks: of its own size, or else that of its group."""
        mates = next((group for group in self._groups() if agent in group), self.agents)
        found = (self.zeros.get((name, one)) for one in (agent, *mates))
        return next((one for one in found if one is not None), np.zeros(()))
