"""From the simulators' vectors to what the agents observe: one call for all environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Layout(Protocol):
    """Makes the team's observations and the state.

    Attributes:
        sizes: features that each agent has, `N` numbers; the rest of O is padding.
        state_size: features S of the state.
        width: numbers of the simulator's own observation, the first of its vector.
    """

    sizes: tuple[int, ...]
    state_size: int
    width: int

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """Observations `[B, N, O]` and states `[B, S]`, new arrays in single precision.

        Args:
            rows: one vector per simulator `[B, W]`, double precision.
        """
        ...


class StandardisedLayout:
    """The layout of OMIGA's published data.

    Agent i observes the simulator's whole vector and its own number as one-hot, minus the
    mean of *these numbers* and divided by their standard deviation: statistics of the one
    vector, not of the data. The state is the vectors of all agents in a row.

    Args:
        width: numbers in the simulator's vector.
        n_agents: number of agents N.

    Examples:
        >>> layout = StandardisedLayout(3, 1)
        >>> layout(np.array([[0.0, 1.0, 2.0]]))[0].round(2)  # of (0, 1, 2, 1)
        array([[[-1.41,  0.  ,  1.41,  0.  ]]], dtype=float32)
    """

    def __init__(self, width: int, n_agents: int) -> None:
        self.width = width
        self.sizes = (width + n_agents,) * n_agents
        self.state_size = n_agents * self.sizes[0]
        self._agents = np.arange(n_agents)

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """See :class:`Layout`."""
        batch, n_agents, size = len(rows), len(self.sizes), self.sizes[0]
        # Where the one stands makes no difference to mean and deviation: they are the same for all agents.
        numbers = np.zeros((batch, size))
        numbers[:, : self.width] = rows
        numbers[:, self.width] = 1.0
        mean = numbers.mean(1, keepdims=True)
        numbers -= mean
        std = np.sqrt(np.square(numbers).mean(1, keepdims=True))
        numbers /= std
        observation = np.empty((batch, n_agents, size), np.float32)
        observation[:, :, : self.width] = numbers[:, None, : self.width]
        observation[:, :, self.width :] = (-mean / std)[:, None]
        observation[:, self._agents, self.width + self._agents] = numbers[:, self.width, None]
        return observation, observation.reshape(batch, -1).copy()


class SelectedLayout:
    """Every agent observes some of the simulator's numbers, unchanged.

    Agents with fewer features than others have zeros behind them.

    Args:
        columns: for every agent the places of its features in the simulator's vector.
        state_size: the state is the first S numbers of the vector.

    Examples:
        >>> layout = SelectedLayout([[2], [0, 1]], state_size=3)
        >>> layout(np.array([[5.0, 6.0, 7.0]]))[0]
        array([[[7., 0.],
                [5., 6.]]], dtype=float32)
    """

    def __init__(self, columns: Sequence[Sequence[int]], state_size: int) -> None:
        self.sizes = tuple(map(len, columns))
        self.state_size = self.width = state_size
        # Padding reads a column of zeros, added behind the numbers.
        self._columns = np.full((len(columns), max(self.sizes)), -1)
        for agent, places in enumerate(columns):
            self._columns[agent, : len(places)] = places

    def __call__(self, rows: Array) -> tuple[Array, Array]:
        """See :class:`Layout`."""
        padded = np.zeros((rows.shape[0], rows.shape[1] + 1), np.float32)
        padded[:, :-1] = rows
        return padded[:, self._columns], padded[:, : self.state_size].copy()
