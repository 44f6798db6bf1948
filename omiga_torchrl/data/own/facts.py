"""`Facts`: what holds for all own data that come through one door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.own.forms import Team


@dataclass
class Facts:
    """What the user says of all runs, and what the first ones tell.

    Attributes:
        where: who reads them, for messages.
        options: how they are read.
        team: names of groups and agents, if they were given.
        n_actions: number of discrete actions, of every group if they differ; completed from one-hot actions.
        has_agent_mask: whether steps as dicts get an ``agent_mask``: if agents come and go in any of them.
    """

    where: str
    options: ReadOptions = field(default_factory=ReadOptions)
    team: Team | None = None
    n_actions: int | Mapping[str, int] | None = None
    has_agent_mask: bool = True

    def actions_of(self, group: str) -> int | None:
        """The number of discrete actions of a group, if it is known."""
        return self.n_actions.get(group) if isinstance(self.n_actions, Mapping) else self.n_actions
