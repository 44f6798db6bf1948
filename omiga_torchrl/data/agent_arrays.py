"""`AgentArrays`: what the agents of one group saw and did, as flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError

Array = npt.NDArray[Any]

# Between a group's name and an entry's in files.
_SEPARATOR: Final = "/"
# With one row more per episode than steps.
PER_ROW: Final = ("observation", "action_mask", "agent_mask")
PER_STEP: Final = ("action", "reward")
# Numbers of dimensions that arrays may have.
_DIMENSIONS: Final = {
    "observation": (3,), "action": (2, 3), "action_mask": (3,), "agent_mask": (2,), "reward": (1, 2),
    "length": (1,), "terminated": (1,), "truncated": (1,), "state": (2,),
}  # fmt: skip


@dataclass
class AgentArrays:
    """T steps of the N agents of one group, in R observation rows; see :class:`omiga_torchrl.data.Episodes`.

    Attributes:
        observation: `[R, N, O]`.
        action: `[T, N, A]`, or integers `[T, N]`.
        action_mask: legal actions `[R, N, K]`, true = legal; or ``None``.
        agent_mask: true where an agent takes part `[R, N]`; ``None`` means always.
        reward: every agent's own reward, raw `[T, N]`; ``None`` where only the team's was kept.

    Examples:
        >>> two = AgentArrays(
        ...     np.zeros((4, 2, 5)), np.zeros((3, 2), int), action_mask=np.ones((4, 2, 6), bool)
        ... )
        >>> two.n_agents, two.is_discrete, sorted(two.arrays())
        (2, True, ['action', 'action_mask', 'observation'])
    """

    observation: Array
    action: Array
    action_mask: Array | None = None
    agent_mask: Array | None = None
    reward: Array | None = None

    @property
    def n_agents(self) -> int:
        """Number of agents N."""
        return int(self.observation.shape[1])

    @property
    def is_discrete(self) -> bool:
        """Whether actions are integers."""
        return self.action.dtype.kind != "f"

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are ``None``."""
        return {name: value for name in _ARRAYS if (value := getattr(self, name)) is not None}

    def part(self, rows: slice | Array, steps: slice | Array) -> AgentArrays:
        """Some rows and steps: views of slices, copies of what masks choose."""
        return AgentArrays(
            **{name: value[rows if name in PER_ROW else steps] for name, value in self.arrays().items()}
        )

    def problems(self, name: str, rows: int, steps: int) -> Iterator[str]:
        """Arrays that do not fit together.

        Args:
            name: of the group, for the messages.
            rows: expected observation rows R.
            steps: expected steps T.
        """
        if not name or _SEPARATOR in name:
            yield f"a group is named {name!r}, expected a name without {_SEPARATOR!r}"
        agents = self.observation.shape[1:2]
        for entry, value in self.arrays().items():
            expected = rows if entry in PER_ROW else steps
            told = _name(name, entry)
            if len(value) != expected:
                yield f"{told!r} has {len(value)} rows, expected {expected}"
            elif value.shape[1:2] != agents or (entry in ("agent_mask", "reward") and value.ndim != 2):
                yield f"{told!r} has shape {value.shape}, the observations {self.observation.shape}"
            elif 0 in value.shape[1:]:
                yield f"{told!r} has shape {value.shape}, expected at least one agent and feature"

    @classmethod
    def concatenate(cls, parts: Sequence[AgentArrays]) -> AgentArrays:
        """All rows and steps of ``parts``, in order; all agents take part where an ``agent_mask`` is missing.

        Raises:
            DataError: some parts have action masks or rewards of agents, and some do not.
        """
        parts = list(parts)
        if any(part.agent_mask is not None for part in parts):
            parts = [part if part.agent_mask is not None else _all_take_part(part) for part in parts]
        arrays = [part.arrays() for part in parts]
        mixed = [name for name in _ARRAYS if 0 < sum(name in one for one in arrays) < len(arrays)]
        if mixed:
            raise DataError(f"AgentArrays: some parts have {mixed} and some do not; expected all or none.")
        return cls(**{name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]})


_ARRAYS: Final = tuple(one.name for one in fields(AgentArrays))


def _all_take_part(part: AgentArrays) -> AgentArrays:
    return AgentArrays(**{**part.arrays(), "agent_mask": np.ones(part.observation.shape[:2], bool)})


def joined_observations(groups: Mapping[str, AgentArrays]) -> Array:
    """The observations of all agents in a row `[R, sum of N O]`: the state where none is stored.

    Groups follow each other in their order, the agents of a group in theirs.

    Args:
        groups: name of every group to its arrays.

    Examples:
        >>> cars = AgentArrays(np.array([[[1.0, 2.0], [3.0, 4.0]]]), np.zeros((0, 2, 1)))
        >>> drones = AgentArrays(np.array([[[5.0]]]), np.zeros((0, 1, 1)))
        >>> joined_observations({"cars": cars, "drones": drones})
        array([[1., 2., 3., 4., 5.]])
    """
    flat = [group.observation.reshape(len(group.observation), -1) for group in groups.values()]
    return flat[0] if len(flat) == 1 else np.concatenate(flat, 1)


def _name(group: str, entry: str) -> str:
    """The name of an array in files; in a plain team ``"reward"`` is the team's, not that of each agent."""
    return entry if group == keys.GROUP and entry != "reward" else f"{group}{_SEPARATOR}{entry}"


def to_flags(values: Array) -> Array:
    """Zeros and ones of any type as booleans; other values as they are.

    Examples:
        >>> to_flags(np.array([1.0, 0.0])), to_flags(np.array([2]))
        (array([ True, False]), array([2]))
    """
    if values.dtype.kind in "fiu" and ((values == 0) | (values == 1)).all():
        return values == 1
    return values


def require_types(arrays: Mapping[str, Array]) -> None:
    """Raise unless flags and masks are booleans, lengths whole numbers `[E]`, and the others numbers.

    Args:
        arrays: of episodes, by name.

    Raises:
        DataError: they are not; all of them in one message.
    """
    found = []
    for name, value in arrays.items():
        flag = name in ("terminated", "truncated") or name.endswith("_mask")
        if value.dtype.kind not in ("b" if flag else "iu" if name == "length" else "fiub"):
            found.append(f"{name!r} has type {value.dtype}")
        dimensions = _DIMENSIONS[name.rpartition(_SEPARATOR)[2]]
        if value.ndim not in dimensions:
            found.append(f"{name!r} has shape {value.shape}, expected {dimensions[-1]} dimensions")
    if found:
        raise DataError(
            f"Episodes: {'; '.join(found)}. Expected numbers, booleans for flags and masks, and whole "
            "numbers for 'length'."
        )


def joined_names(groups: Mapping[str, AgentArrays], team: Mapping[str, Array | None]) -> dict[str, Array]:
    """All arrays of agents and of the team by one name each, without those that are ``None``.

    Args:
        groups: name of every group to its arrays; those of a group ``"agents"`` keep their names.
        team: the team's arrays.

    Examples:
        >>> cars = AgentArrays(np.zeros((4, 2, 5)), np.zeros((3, 2, 1)))
        >>> list(joined_names({"cars": cars}, {"reward": np.zeros(3), "state": None}))
        ['cars/observation', 'cars/action', 'reward']
        >>> list(joined_names({"agents": cars}, {"reward": np.zeros(3), "state": np.zeros(4)}))
        ['observation', 'action', 'reward', 'state']
    """
    arrays = {
        _name(group, entry): value
        for group, agents in groups.items()
        for entry, value in agents.arrays().items()
        if entry in ("observation", "action")
    }
    arrays |= {name: value for name, value in team.items() if value is not None and name != "state"}
    for group, agents in groups.items():
        arrays |= {_name(group, entry): value for entry, value in agents.arrays().items()}
    state = team.get("state")
    return arrays if state is None else {**arrays, "state": state}


def split_names(
    arrays: Mapping[str, Array], team: Sequence[str], where: str
) -> tuple[dict[str, AgentArrays], dict[str, Array]]:
    """The groups and the arrays of the team that :func:`joined_names` joined.

    Args:
        arrays: arrays by name.
        team: names of the team's arrays that must be there; the state may be.
        where: where they come from, for messages.

    Raises:
        DataError: an array is missing or has no place.
    """
    of_team = {name: value for name, value in arrays.items() if name in (*team, "state")}
    groups: dict[str, dict[str, Array]] = {}
    for name, value in arrays.items():
        if name not in of_team:
            group, _, entry = name.rpartition(_SEPARATOR)
            groups.setdefault(group or keys.GROUP, {})[entry] = value
    groups = groups or {keys.GROUP: {}}
    missing = [name for name in team if name not in arrays]
    unknown: list[str] = []
    for group, found in groups.items():
        missing += [_name(group, entry) for entry in ("observation", "action") if entry not in found]
        unknown += [_name(group, entry) for entry in found if entry not in (*PER_ROW, *PER_STEP)]
    if missing or unknown:
        raise DataError(
            f"{where} lacks {sorted(missing)} and has unknown {sorted(unknown)}; expected "
            f"{sorted({*team, *PER_ROW, 'action', 'state'})} (masks and state optional), those of agents as "
            "'<group>/<name>' in teams of groups."
        )
    return {name: AgentArrays(**found) for name, found in groups.items()}, of_team


class PlainArray:
    """An array of a plain team, read and set as an attribute of its episodes."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, episodes: Any, owner: type) -> Any:
        return self if episodes is None else getattr(episodes._only(), self._name)

    def __set__(self, episodes: Any, value: Array | None) -> None:
        setattr(episodes._only(), self._name, value)
