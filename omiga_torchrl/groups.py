"""`GroupedTeamSpec`: a team whose agents differ, as groups of agents with equal spaces."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tensordict import TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.gathering import GATHERED, gather_groups
from omiga_torchrl.specs import KINDS, Kind, TeamSpec

_SIZES = frozenset(field.name for field in fields(TeamSpec)) - {"n_agents", "state_size", "agents", "group"}


@dataclass(frozen=True)
class GroupedTeamSpec:
    """The sizes of a team of several groups; agents of one group have equal spaces.

    In data and environments the entries of a group are under its name: ``("prey", "observation")``. Losses
    see the agents of all groups in one fixed order, that of the groups and within them that of the data:
    :meth:`gather`. A size that all groups share, e.g. ``spec.discrete``, is the team's; asking for one in
    which they differ is an error.

    Attributes:
        groups: name of every group to its sizes.
        state_size: features S of the state.

    Raises:
        ValueError: there is no group, an agent is in two groups, or a group's name is that of another entry.

    Examples:
        >>> spec = GroupedTeamSpec({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)}, 20)
        >>> print(spec)
        team of 5 agents in 2 groups, state of 20 features
          cars: 2 agents, observation of 6 features, 3 continuous action features
          drones: 3 agents, observation of 9 features, 4 continuous action features
        >>> spec.action_size
        Traceback (most recent call last):
            ...
        ValueError: GroupedTeamSpec: action_size differs between groups (cars 3, drones 4). ...
    """

    groups: Mapping[str, TeamSpec]
    state_size: int

    def __post_init__(self) -> None:
        named_groups = {name: replace(group, group=name) for name, group in self.groups.items()}
        object.__setattr__(self, "groups", named_groups)
        if not self.groups:
            raise ValueError("GroupedTeamSpec: groups must have at least one group, got none.")
        taken = {keys.STATE, "next", keys.IS_INIT, keys.EPISODE, keys.REWARD, keys.DONE} & set(self.groups)
        if taken:
            raise ValueError(f"GroupedTeamSpec: a group must not be named {taken.pop()!r}. Rename it.")
        for name, group in self.groups.items():
            if group.n_agents < 1:
                raise ValueError(f"GroupedTeamSpec: group {name!r} must have agents, got none. Leave it out.")
        named: dict[str, str] = {}
        for name, group in self.groups.items():
            for agent in group.agents:
                if agent in named:
                    raise ValueError(
                        f"GroupedTeamSpec: agent {agent!r} must be in one group, got {named[agent]!r} and "
                        f"{name!r}. Remove it from one."
                    )
                named[agent] = name

    def __getattr__(self, name: str) -> Any:
        if name not in _SIZES:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        values = {group: getattr(spec, name) for group, spec in self.groups.items()}
        if len(set(values.values())) > 1:
            told = ", ".join(f"{group} {value}" for group, value in values.items())
            raise ValueError(
                f"GroupedTeamSpec: {name} differs between groups ({told}). Read spec.groups[...].{name}."
            )
        return next(iter(values.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.groups), self.state_size)

    def __hash__(self) -> int:
        return hash((tuple(self.groups.items()), self.state_size))

    def __str__(self) -> str:
        lines = [
            f"team of {self.n_agents} agents in {len(self.groups)} groups, state of {self.state_size} "
            "features"
        ]
        for name, group in self.groups.items():
            kind = "discrete actions" if group.discrete else "continuous action features"
            lines.append(
                f"  {name}: {group.n_agents} agents, observation of {group.observation_size} features, "
                f"{group.action_size} {kind}{', masked' if group.masked else ''}"
            )
        return "\n".join(lines)

    @property
    def n_agents(self) -> int:
        """Number of agents of all groups together."""
        return sum(group.n_agents for group in self.groups.values())

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Names of all agents in the team's order; ``<group>_0``, ... where none are given."""
        return tuple(name for names in self.group_map.values() for name in names)

    @property
    def group_map(self) -> dict[str, list[str]]:
        """Name of every group to the names of its agents, as TorchRL's environments have it."""
        return {
            name: list(group.agents) or [f"{name}_{index}" for index in range(group.n_agents)]
            for name, group in self.groups.items()
        }

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """Name of every group to the first of its agents in the team's order, and the one after the last."""
        ends = list(itertools.accumulate(group.n_agents for group in self.groups.values()))
        return dict(zip(self.groups, zip([0, *ends[:-1]], ends, strict=True), strict=True))

    @property
    def kind(self) -> Kind:
        """``"continuous"``, ``"discrete"``, or ``"mixed"``: some groups have the one and others the other."""
        kinds = {group.kind for group in self.groups.values()}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def is_mixed(self) -> bool:
        """True if some groups have discrete actions and others continuous ones."""
        return self.kind == "mixed"

    def of_kind(self, kind: Kind) -> GroupedTeamSpec | None:
        """The groups of one kind of actions; None if there is none.

        Args:
            kind: ``"continuous"`` or ``"discrete"``.
        """
        chosen = {name: group for name, group in self.groups.items() if group.kind == kind}
        return GroupedTeamSpec(chosen, self.state_size) if chosen else None

    @property
    def parts(self) -> tuple[GroupedTeamSpec, ...]:
        """Of a mixed team, the groups of each kind of actions: continuous, then discrete; else nothing."""
        found = (self.of_kind(kind) for kind in KINDS) if self.is_mixed else ()
        return tuple(part for part in found if part is not None)

    def largest(self, size: str) -> int:
        """The largest of a size over the groups, to which entries of the team are padded.

        Args:
            size: ``"observation_size"`` or ``"action_size"``.
        """
        return max(int(getattr(group, size)) for group in self.groups.values())

    def expand_key(self, key: Any, *, masked_only: bool = True) -> list[Any]:
        """The entries of the data that an entry of the team is gathered from.

        Args:
            key: e.g. ``("agents", "observation")``, also under ``"next"``; others are themselves.

        Keyword Args:
            masked_only: leave out the action masks of groups that have none by these sizes.

        Examples:
            >>> spec = GroupedTeamSpec({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)}, 20)
            >>> spec.expand_key(("next", "agents", "observation"))
            [('next', 'cars', 'observation'), ('next', 'drones', 'observation')]
        """
        path = keys.key_path(key)
        if len(path) < 2 or path[-2] != keys.GROUP or path[-1] not in GATHERED:
            return [key]
        groups = self.groups
        if path[-1] == "action_mask" and masked_only:
            groups = {name: group for name, group in groups.items() if group.masked}
        return [(*path[:-2], name, path[-1]) for name in groups]

    def gather(self, data: TensorDictBase) -> TensorDictBase:
        """The batch with the agents of these groups as one group ``"agents"``, at this step and the next.

        Entries of the team are shared with ``data``. Features that a group lacks are zeros; actions that it
        lacks are illegal in ``action_mask``, which is there as soon as any group has one or the numbers of
        actions differ. A group without ``agent_mask`` always takes part. Of a team with continuous and
        discrete actions, which do not fit into one tensor, actions are left out: gather ``of_kind`` of each.

        Args:
            data: a batch ``[*B]`` with the entries of every group under its name.

        Raises:
            ValueError: a group is of another shape than this.

        Examples:
            >>> spec = GroupedTeamSpec({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)}, 20)
            >>> spec.gather(spec.fake_batch(8))["agents", "observation"].shape
            torch.Size([8, 5, 9])
        """
        return gather_groups(self, data)

    def fake_batch(self, *batch: int) -> TensorDictBase:
        """Random data of these sizes, see :meth:`TeamSpec.fake_batch`.

        Args:
            batch: the batch dimensions; of two or more the last is time.
        """
        from omiga_torchrl.fake_data import fake_batch

        return fake_batch(self, *batch)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for cards and checkpoints; :meth:`TeamSpec.from_dict` reads them."""
        return {
            "groups": {name: group.to_dict() for name, group in self.groups.items()},
            "state_size": self.state_size,
        }


AnyTeamSpec = TeamSpec | GroupedTeamSpec


def require_groups(component: str, names: Iterable[str], spec: AnyTeamSpec) -> None:
    """Raise a ValueError unless ``names`` are the groups of ``spec``.

    Args:
        component: who asks.
        names: the groups that it has.
        spec: the team.
    """
    given, expected = list(names), list(spec.groups)
    if sorted(given) != sorted(expected):
        raise ValueError(
            f"{component}: groups must be {', '.join(expected)}, got {', '.join(given) or 'none'}. Give each "
            "its entry, by the names of the task's spec."
        )
