"""The forms in which own data come, and the arrays of every group in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.own.values import to_array
from omiga_torchrl.errors import DataError

Team = Mapping[str, Sequence[str]] | Sequence[str]
"""Name of every group to the names of its agents, or the names of the agents of a plain team."""


@dataclass(frozen=True)
class Form:
    """How arrays of agents are given.

    Attributes:
        kind: ``"plain"`` `[T, N, ...]`, ``"single"`` `[T, ...]` of one agent, ``"agents"`` a dict of one
            array `[T, ...]` an agent, or ``"groups"`` a dict of one array `[T, N, ...]` a group.
        groups: name of every group to the names of its agents; ``()`` where they have none.
    """

    kind: Literal["plain", "single", "agents", "groups"]
    groups: dict[str, tuple[str, ...]]

    def arrays(self, name: str, value: Any, where: str) -> dict[str, Array]:
        """The arrays `[rows, N, ...]` of every group that has them.

        Args:
            name: ``"observation"``, ...
            value: in this form.
            where: for messages.

        Raises:
            DataError: ``value`` is in another form, or some agents lack it.
        """
        if self.kind in ("plain", "single"):
            if isinstance(value, Mapping):
                raise DataError(
                    f"{where}: {name!r} is a dict, 'observation' an array. Give both in the same form."
                )
            array = to_array(value, name, where)
            if self.kind == "single" and array.ndim:
                array = array[:, None]
            return {keys.GROUP: array}
        self._require_names(name, value, where)
        if self.kind == "groups":
            return {group: to_array(value[group], name, where) for group in self.groups if group in value}
        return {group: _stack(name, value, agents, where) for group, agents in self.groups.items()}

    def _require_names(self, name: str, value: Any, where: str) -> None:
        of = "group" if self.kind == "groups" else "agent"
        agents = [agent for members in self.groups.values() for agent in members]
        expected = list(self.groups) if self.kind == "groups" else agents
        if not isinstance(value, Mapping):
            raise DataError(
                f"{where}: {name!r} is no dict, 'observation' has one array for every {of}. Give it by the "
                f"names {', '.join(expected)}."
            )
        unknown = [str(one) for one in value if one not in expected]
        missing = [one for one in expected if one not in value]
        # Only some groups may have masks.
        optional = self.kind == "groups" and name.endswith("mask")
        if unknown or (missing and not optional):
            raise DataError(
                f"{where}: {name!r} lacks {missing} and has unknown {unknown}; expected one array for every "
                f"{of}: {', '.join(expected)}."
            )


def _stack(name: str, value: Mapping[str, Any], agents: Sequence[str], where: str) -> Array:
    """The arrays of the agents of a group beside each other `[rows, N, ...]`."""
    arrays = [to_array(value[agent], name, where) for agent in agents]
    shapes = {agent: one.shape for agent, one in zip(agents, arrays, strict=True)}
    if len(set(shapes.values())) > 1:
        raise DataError(
            f"{where}: {name!r} has other sizes for other agents: {shapes}. Agents that differ are several "
            "groups: pass team={'group_0': [agents], 'group_1': [agents]}."
        )
    return np.stack(arrays, 1)


def find_form(observation: Any, team: Team | None, where: str) -> Form:
    """The form of the observations, which that of everything else has to be.

    Args:
        observation: as it was given, of one run of steps.
        team: names, as the user gave them.
        where: for messages.

    Raises:
        DataError: observations of no known form, or ``team`` does not name the agents.

    Examples:
        >>> find_form(np.zeros((5, 3, 2)), None, "here").kind, find_form(np.zeros((5, 2)), None, "here").kind
        ('plain', 'single')
        >>> find_form({"wolf": np.zeros((5, 2)), "hare": np.zeros((5, 2))}, None, "here")
        Form(kind='agents', groups={'agents': ('wolf', 'hare')})
    """
    if not isinstance(observation, Mapping):
        return _of_array(to_array(observation, "observation", where), team, where)
    dims = {name: np.ndim(value) for name, value in observation.items()}
    if dims and set(dims.values()) == {2}:
        return Form("agents", _members(list(observation), team, where))
    if not dims or set(dims.values()) != {3}:
        raise DataError(
            f"{where}: 'observation' is a dict of arrays with {dims} dimensions; expected [T, O] for every "
            "agent, or [T, N, O] for every group."
        )
    named = team if isinstance(team, Mapping) else {}
    return Form("groups", {group: tuple(named.get(group, ())) for group in observation})


def _of_array(observation: Array, team: Team | None, where: str) -> Form:
    if observation.ndim not in (2, 3):
        raise DataError(
            f"{where}: 'observation' has the shape {observation.shape}; expected [T, N, O], or [T, O] of a "
            "single agent. A stack of episodes is given as list(observation), and all else likewise."
        )
    names = () if team is None or isinstance(team, Mapping) else tuple(team)
    return Form("single" if observation.ndim == 2 else "plain", {keys.GROUP: names})


def _members(agents: list[str], team: Team | None, where: str) -> dict[str, tuple[str, ...]]:
    if team is None:
        return {keys.GROUP: tuple(agents)}
    named = team if isinstance(team, Mapping) else {keys.GROUP: team}
    groups = {group: tuple(members) for group, members in named.items()}
    taken = [agent for members in groups.values() for agent in members]
    if sorted(taken) != sorted(agents):
        raise DataError(f"{where}: team has the agents {taken}, the data have {agents}. Name each once.")
    return groups
