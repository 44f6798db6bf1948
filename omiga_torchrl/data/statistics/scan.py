"""`Scan`: one pass over the wide entries of a dataset, in chunks of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.padding import AgentPadding
from omiga_torchrl.data.statistics.digests import count_unique, row_digests
from omiga_torchrl.data.statistics.distributions import Histogram, count_between, even_edges, whole_edges
from omiga_torchrl.errors import require_key
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.specs import TeamSpec

NAME = "dataset_statistics"

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ActionStatistics:
    """The actions of N agents with A features; a discrete action is one feature, its index.

    Attributes:
        discrete: whether actions are integers.
        minimum: `[N, A]`.
        maximum: `[N, A]`.
        beyond: share of steps with an action beyond its bounds `[N, A]`; ``None`` if discrete.
        histograms: `[N, A]`; a feature has the same edges for all agents.
    """

    discrete: bool
    minimum: Rows
    maximum: Rows
    beyond: Rows | None
    histograms: tuple[tuple[Histogram, ...], ...]

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value over all agents and features."""
        return min(map(min, self.minimum)), max(map(max, self.maximum))

    @property
    def share_beyond(self) -> float | None:
        """Share of all action values beyond their bounds; ``None`` if discrete."""
        return None if self.beyond is None else float(np.mean(self.beyond))


@dataclass(frozen=True)
class GroupStatistics:
    """The statistics of one group; rows in which an agent does not take part count for nothing.

    Attributes:
        unique_local: number of different (observation, action) pairs of every agent.
        action: the actions.
        observation_minimum: smallest value of every observation feature, over all agents `[O]`.
        observation_maximum: largest value of every observation feature, over all agents `[O]`.
        present: share of transitions in which every agent takes part.
        padding: features that look like padding, agent by agent.
        agent_return: mean of the episodes' sums of an agent's own reward, of every agent; ``None`` where only
            the team's reward is stored.
    """

    unique_local: tuple[int, ...]
    action: ActionStatistics
    observation_minimum: tuple[float, ...]
    observation_maximum: tuple[float, ...]
    present: tuple[float, ...]
    padding: tuple[AgentPadding, ...] = ()
    agent_return: tuple[float, ...] | None = None


class Scan:
    """Digests and ranges of observations, states and actions, gathered chunk by chunk.

    Args:
        data: transitions in order `[T]`.
        spec: says the bounds of actions; ``None``: -1 and 1.

    Attributes:
        groups: what is gathered of every group, by name.
        joint: digests of (state, joint action) `[T, 2]`.
    """

    def __init__(self, data: TensorDictBase, spec: AnyTeamSpec | None = None) -> None:
        self._state = require_key(NAME, data, keys.STATE)
        names = group_names(data) or [keys.GROUP]
        sizes = {} if spec is None else spec.groups
        self.groups = {name: GroupScan(data, name, sizes.get(name)) for name in names}
        self.joint = np.zeros((len(self._state), 2), np.uint64)

    def add(self, rows: slice) -> None:
        """Take in some transitions; every one is to be taken in once."""
        actions = [group.add(rows) for group in self.groups.values()]
        self.joint[rows] = row_digests(self._state[rows].numpy(), *actions)


class GroupScan:
    """The same of the agents of one group.

    Args:
        data: transitions in order `[T]`.
        name: name of the group.
        spec: says the bounds of its actions; ``None``: -1 and 1.

    Attributes:
        local: digests of every agent's (observation, action) `[N, T, 2]`.
        present: where every agent takes part `[T, N]`; ``None`` means always.
        observation_range: smallest and largest value of every feature `[2, O]`.
        action_range: smallest and largest value `[2, N, A]`.
    """

    def __init__(self, data: TensorDictBase, name: str, spec: TeamSpec | None = None) -> None:
        bounds = (-1.0, 1.0) if spec is None else (spec.action_low, spec.action_high)
        # In single precision, as the actions.
        self._low, self._high = (np.asarray(bound, np.float32) for bound in bounds)
        self._observation = require_key(NAME, data, (name, "observation"))
        self._action = require_key(NAME, data, (name, "action"))
        self.discrete = not self._action.is_floating_point()
        self._mask = data.get((name, "action_mask"), None)
        present = data.get((name, "agent_mask"), None)
        self.present: Array | None = None if present is None else present.numpy()
        steps, agents, features = self._observation.shape
        actions = 1 if self._action.ndim == 2 else self._action.shape[-1]
        self.local = np.zeros((agents, steps, 2), np.uint64)
        self.observation_range = _no_range(features)
        self.action_range = _no_range(agents, actions)
        self._beyond = np.zeros((agents, actions), np.int64)

    def add(self, rows: slice) -> Array:
        """Take in some transitions; every one is to be taken in once.

        Returns:
            The actions `[T, N, A]`; zeros where an agent does not take part.
        """
        observation, action = self._observation[rows].numpy(), self._actions(rows)
        for agent, local in enumerate(self.local):
            local[rows] = row_digests(observation[:, agent], action[:, agent])
        if self.present is None:
            _widen(self.observation_range, observation, (0, 1))
            _widen(self.action_range, action, (0,))
            self._beyond += self._is_beyond(action).sum(0)
            return action
        present = self.present[rows]
        _widen(self.observation_range, observation[present], (0,))
        for agent in range(present.shape[1]):
            _widen(self.action_range[:, agent], action[present[:, agent], agent], (0,))
        self._beyond += (self._is_beyond(action) & present[..., None]).sum(0)
        return np.where(present[..., None], action, 0)

    def count_unique(self) -> tuple[int, ...]:
        """Different (observation, action) pairs of every agent, where it takes part."""
        if self.present is None:
            return tuple(count_unique(local) for local in self.local)
        return tuple(
            count_unique(local[there]) for local, there in zip(self.local, self.present.T, strict=True)
        )

    def shares_present(self) -> tuple[float, ...]:
        """Share of transitions in which every agent takes part."""
        return (1.0,) * len(self.local) if self.present is None else tuple(self.present.mean(0).tolist())

    def action_statistics(self, chunk: int) -> ActionStatistics:
        """Statistics of the actions once everything was taken in; reads them again.

        Args:
            chunk: transitions read at a time.
        """
        low, high = self.action_range
        edges = [self._edges(*bounds) for bounds in zip(low.min(0), high.max(0), strict=True)]
        counts = [[np.zeros(len(e) - 1, np.int64) for e in edges] for _ in low]
        for start in range(0, len(self._action), chunk):
            rows = slice(start, start + chunk)
            action = self._actions(rows)
            for agent, feature in np.ndindex(low.shape):
                values = action[:, agent, feature]
                values = values if self.present is None else values[self.present[rows, agent]]
                counts[agent][feature] += count_between(values, edges[feature])
        return ActionStatistics(
            discrete=self.discrete,
            minimum=_rows(low),
            maximum=_rows(high),
            beyond=None if self.discrete else _rows(self._beyond / self._times_present()),
            histograms=tuple(
                tuple(
                    Histogram(tuple(e.tolist()), tuple(c.tolist())) for e, c in zip(edges, one, strict=True)
                )
                for one in counts
            ),
        )

    def _is_beyond(self, action: Array) -> Array:
        beyond: Array = (action < self._low) | (action > self._high)
        return beyond

    def _times_present(self) -> Array:
        steps = len(self._action)
        return np.full((1, 1), steps) if self.present is None else self.present.sum(0)[:, None]

    def _actions(self, rows: slice) -> Array:
        action: Array = self._action[rows].numpy()
        return action.reshape(*action.shape[:2], -1)

    def _edges(self, low: float, high: float) -> Array:
        if not self.discrete:
            return even_edges(low, high)
        # One bin for each action, those that nobody took included where the mask tells of them.
        last = int(high) if self._mask is None else self._mask.shape[-1] - 1
        return whole_edges(0, last, bins=last + 1)


def _no_range(*shape: int) -> Array:
    return np.stack([np.full(shape, np.inf), np.full(shape, -np.inf)])


def _widen(found: Array, values: Array, dims: tuple[int, ...]) -> None:
    if not len(values):
        return
    np.minimum(found[0], values.min(dims), out=found[0])
    np.maximum(found[1], values.max(dims), out=found[1])


def _rows(values: Array) -> Rows:
    return tuple(tuple(row) for row in values.tolist())
