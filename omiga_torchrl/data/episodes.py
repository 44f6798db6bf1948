"""`Episodes`: whole episodes as flat arrays, the form in which they are recorded and stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import (
    AgentArrays,
    Array,
    PlainArray,
    joined_names,
    joined_observations,
    require_types,
    split_names,
    to_flags,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.plain_files import open_npz

__all__ = ["AgentArrays", "Array", "Episodes"]

_TEAM = ("reward", "terminated", "truncated", "length")


class Episodes:
    """E whole episodes of T steps in all, one after the other.

    Observations have one row more per episode than steps: the last row is what the
    team saw after its last action. So there are R = T + E observation rows.

    A team of agents with equal spaces is the one group ``"agents"``, whose arrays can be given and read by
    their own names. A team of several groups has them in ``groups``.

    Args:
        observation: `[R, N, O]`, of a plain team.
        action: `[T, N, A]`, or integers `[T, N]`, of a plain team.
        reward: the team's reward, raw `[T]`.
        terminated: `[T]`, true where the task ended.
        truncated: `[T]`, true where time ran out.
        length: steps of every episode `[E]`.
        action_mask: legal actions `[R, N, K]`, true = legal; or ``None``; of a plain team.
        state: `[R, S]`; ``None`` means the observations of all agents in a row, group after group.
        agent_mask: true where an agent takes part `[R, N]`; ``None`` means always; of a plain team.
        groups: name of every group to its arrays, in the order of the agents; instead of the arrays of a
            plain team.

    Raises:
        DataError: sizes that do not fit together; all of them in one message.

    Examples:
        >>> two = Episodes(
        ...     observation=np.zeros((5, 2, 4)),
        ...     action=np.zeros((3, 2, 1)),
        ...     reward=np.ones(3),
        ...     terminated=np.array([False, True, False]),
        ...     truncated=np.array([False, False, True]),
        ...     length=np.array([2, 1]),
        ... )
        >>> two.returns()
        array([2., 1.])
        >>> hunt = Episodes(
        ...     groups={"predators": two.groups["agents"], "prey": two.groups["agents"]},
        ...     **{name: getattr(two, name) for name in ("reward", "terminated", "truncated", "length")},
        ... )
        >>> list(hunt.groups), hunt.joint_state().shape
        (['predators', 'prey'], (5, 16))
    """

    # Of a plain team only; several groups are an error that names them.
    observation, action, action_mask, agent_mask = PlainArray(), PlainArray(), PlainArray(), PlainArray()

    def __init__(
        self,
        observation: Array | None = None,
        action: Array | None = None,
        reward: Array | None = None,
        terminated: Array | None = None,
        truncated: Array | None = None,
        length: Array | None = None,
        action_mask: Array | None = None,
        state: Array | None = None,
        *,
        agent_mask: Array | None = None,
        groups: Mapping[str, AgentArrays] | None = None,
    ) -> None:
        plain = (("observation", observation), ("action", action), ("action_mask", action_mask))
        given = {name: value for name, value in (*plain, ("agent_mask", agent_mask)) if value is not None}
        if groups is None:
            groups = {keys.GROUP: AgentArrays(**given)}
        elif given or not groups:
            raise DataError(
                "Episodes: groups must be at least one group, and without the arrays of a plain team, got "
                f"the groups {list(groups)} and {list(given)}."
            )
        self.groups, self.state = dict(groups), state
        self.reward, self.terminated = _given("reward", reward), _given("terminated", terminated)
        self.truncated, self.length = _given("truncated", truncated), _given("length", length)
        self._check()

    def _check(self) -> None:
        self.terminated, self.truncated = to_flags(self.terminated), to_flags(self.truncated)
        require_types(self.arrays())
        self.length = self.length.astype(np.int64, copy=False)
        steps, episodes = int(self.length.sum()), len(self.length)
        rows = steps + episodes
        found = [
            problem for name, group in self.groups.items() for problem in group.problems(name, rows, steps)
        ]
        for name in ("reward", "terminated", "truncated"):
            if len(getattr(self, name)) != steps:
                found.append(f"{name!r} has {len(getattr(self, name))} rows, expected {steps}")
        if self.state is not None and (len(self.state) != rows or not self.state.shape[1]):
            found.append(f"'state' has shape {self.state.shape}, expected {rows} rows of some features")
        if episodes and self.length.min() < 1:
            found.append("'length' has an episode without a step")
        if self.reward.ndim != 1:
            found.append(
                f"'reward' has shape {self.reward.shape}, expected [T]: one reward of the team per step"
            )
        if found:
            raise DataError(
                f"Episodes: {'; '.join(found)} ({steps} steps in {episodes} episodes; observation, "
                "state and masks have one more row per episode)."
            )

    @property
    def is_plain(self) -> bool:
        """Whether the team is the one group ``"agents"``."""
        return list(self.groups) == [keys.GROUP]

    def _only(self) -> AgentArrays:
        if not self.is_plain:
            raise DataError(
                f"Episodes: there must be the one group {keys.GROUP!r} here, got the groups "
                f"{', '.join(self.groups)}. Read .groups."
            )
        return self.groups[keys.GROUP]

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return len(self.reward)

    def __len__(self) -> int:
        return len(self.length)

    def arrays(self) -> dict[str, Array]:
        """The arrays by name, without those that are ``None``; ``"<group>/<name>"`` in teams of groups."""
        return joined_names(self.groups, {name: getattr(self, name) for name in (*_TEAM, "state")})

    def starts(self) -> Array:
        """First step of every episode `[E]`."""
        return np.cumsum(self.length) - self.length

    def is_step(self) -> Array:
        """Which observation rows a step follows `[R]`: all but the last one of every episode."""
        rows = np.ones(self.steps + len(self), bool)
        rows[np.cumsum(self.length + 1) - 1] = False
        return rows

    def returns(self) -> Array:
        """Undiscounted return of every episode `[E]`, summed in double precision."""
        if not len(self):
            return np.zeros(0)
        return np.add.reduceat(self.reward.astype(np.float64), self.starts())

    def joint_state(self) -> Array:
        """The state `[R, S]`; where none is stored, the observations of all agents in a row."""
        return joined_observations(self.groups) if self.state is None else self.state

    def without_repeated_state(self) -> Episodes:
        """The same episodes, the state left out if it only repeats the observations: it doubles the file."""
        if self.state is None or not np.array_equal(self.state, joined_observations(self.groups)):
            return self
        return self.replaced(state=None)

    def replaced(self, **changes: Any) -> Episodes:
        """The same episodes with other arrays.

        Args:
            **changes: ``groups``, ``state`` and arrays of the team, by name.
        """
        given = {"groups": self.groups, "state": self.state, **{name: getattr(self, name) for name in _TEAM}}
        return Episodes(**{**given, **changes})

    def part(self, first: int, last: int) -> Episodes:
        """The episodes ``first`` to ``last``, the latter excluded; views, not copies."""
        offsets = np.concatenate([[0], np.cumsum(self.length)])
        steps = slice(int(offsets[first]), int(offsets[last]))
        rows = slice(steps.start + first, steps.stop + last)
        return Episodes(
            groups={name: group.part(rows, steps) for name, group in self.groups.items()},
            reward=self.reward[steps],
            terminated=self.terminated[steps],
            truncated=self.truncated[steps],
            length=self.length[first:last],
            state=None if self.state is None else self.state[rows],
        )

    def first(self, episodes: int) -> Episodes:
        """The first `episodes` episodes."""
        return self.part(0, min(episodes, len(self)))

    def save(self, path: str | Path) -> None:
        """Write a compressed ``.npz`` file; floats in single precision."""
        arrays: dict[str, Any] = {
            name: value.astype(np.float32) if value.dtype == np.float64 else value
            for name, value in self.arrays().items()
        }
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: str | Path, *, largest: int | None = None) -> Episodes:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            largest: bytes that all arrays may have together; ``None`` takes any number.

        Raises:
            DataError: the file is damaged, or an array is missing or has no place here.
        """
        with open_npz("Episodes", path, "Record it again.", largest=largest) as arrays:
            groups, team = split_names(arrays, _TEAM, f"Episodes: {path}")
            return cls(groups=groups, **team)

    @classmethod
    def concatenate(cls, parts: Sequence[Episodes]) -> Episodes:
        """All episodes of `parts`, in order; states and masks that only some have are a ``DataError``."""
        first = parts[0]
        team = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _TEAM}
        states = [part.state for part in parts if part.state is not None]
        return cls(
            groups={
                name: AgentArrays.concatenate([part.groups[name] for part in parts]) for name in first.groups
            },
            state=np.concatenate(states) if states else None,
            **team,
        )


def _given(name: str, value: Array | None) -> Array:
    if value is None:
        raise TypeError(f"Episodes: {name} must be given, or groups=, got neither. Pass {name}=.")
    return value
