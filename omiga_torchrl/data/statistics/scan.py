"""`Scan`: one pass over the wide entries of a dataset, in chunks of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.statistics.digests import row_digests
from omiga_torchrl.data.statistics.distributions import Histogram, count_between, even_edges, whole_edges
from omiga_torchrl.errors import require_key

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ActionStatistics:
    """The actions of N agents with A features; a discrete action is one feature, its index.

    Attributes:
        discrete: whether actions are integers.
        minimum: `[N, A]`.
        maximum: `[N, A]`.
        beyond: share of steps with an action beyond +-1 `[N, A]`; ``None`` if discrete.
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
        """Share of all action values beyond +-1; ``None`` if discrete."""
        return None if self.beyond is None else float(np.mean(self.beyond))


class Scan:
    """Digests and ranges of observations, states and actions, gathered chunk by chunk.

    Args:
        data: transitions in order `[T]`.

    Attributes:
        joint: digests of (state, joint action) `[T, 2]`.
        local: digests of every agent's (observation, action) `[N, T, 2]`.
        observation_range: smallest and largest value of every feature `[2, O]`.
        action_range: smallest and largest value `[2, N, A]`.
    """

    def __init__(self, data: TensorDictBase) -> None:
        name = "dataset_statistics"
        self._observation = require_key(name, data, keys.OBSERVATION)
        self._action = require_key(name, data, keys.ACTION)
        self._state = require_key(name, data, keys.STATE)
        self.discrete = not self._action.is_floating_point()
        self._mask = data.get(keys.ACTION_MASK, None)
        steps, agents, features = self._observation.shape
        actions = 1 if self._action.ndim == 2 else self._action.shape[-1]
        self.joint = np.zeros((steps, 2), np.uint64)
        self.local = np.zeros((agents, steps, 2), np.uint64)
        self.observation_range = _no_range(features)
        self.action_range = _no_range(agents, actions)
        self._beyond = np.zeros((agents, actions), np.int64)

    def add(self, rows: slice) -> None:
        """Take in some transitions; every one is to be taken in once."""
        observation, action = self._observation[rows].numpy(), self._actions(rows)
        self.joint[rows] = row_digests(self._state[rows].numpy(), action)
        for agent, local in enumerate(self.local):
            local[rows] = row_digests(observation[:, agent], action[:, agent])
        _widen(self.observation_range, observation, (0, 1))
        _widen(self.action_range, action, (0,))
        self._beyond += (np.abs(action) > 1).sum(0)

    def action_statistics(self, chunk: int) -> ActionStatistics:
        """What is known of the actions once everything was taken in; reads them again.

        Args:
            chunk: transitions read at a time.
        """
        low, high = self.action_range
        edges = [self._edges(*bounds) for bounds in zip(low.min(0), high.max(0), strict=True)]
        counts = [[np.zeros(len(e) - 1, np.int64) for e in edges] for _ in low]
        for start in range(0, len(self.joint), chunk):
            action = self._actions(slice(start, start + chunk))
            for agent, feature in np.ndindex(low.shape):
                counts[agent][feature] += count_between(action[:, agent, feature], edges[feature])
        return ActionStatistics(
            discrete=self.discrete,
            minimum=_rows(low),
            maximum=_rows(high),
            beyond=None if self.discrete else _rows(self._beyond / len(self.joint)),
            histograms=tuple(
                tuple(
                    Histogram(tuple(e.tolist()), tuple(c.tolist())) for e, c in zip(edges, one, strict=True)
                )
                for one in counts
            ),
        )

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
    np.minimum(found[0], values.min(dims), out=found[0])
    np.maximum(found[1], values.max(dims), out=found[1])


def _rows(values: Array) -> Rows:
    return tuple(tuple(row) for row in values.tolist())
