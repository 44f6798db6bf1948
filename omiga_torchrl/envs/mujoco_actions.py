"""The joint simulator's action, of the agents' actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class JointAction:
    """Puts the agents' actions together to the action of the joint simulator.

    Args:
        slots: for every agent the joint action that each of its features is.
        low: lower bounds of the joint action `[M]`.
        high: upper bounds `[M]`; the agents' range, [-1, 1], is mapped linearly to the
            simulator's. Actions outside [-1, 1] land outside the bounds.

    Examples:
        >>> joint = JointAction([[1], [0, 2]], low=np.full(3, -2.0), high=np.full(3, 2.0))
        >>> out = np.zeros((1, 3), np.float32)
        >>> joint.write(np.array([[[0.5, 9.0], [1.0, -1.0]]], np.float32), out)  # 9 is padding
        >>> out
        array([[ 2.,  1., -2.]], dtype=float32)
    """

    def __init__(self, slots: Sequence[Sequence[int]], low: Array, high: Array) -> None:
        self.sizes = tuple(map(len, slots))
        self.size = max(self.sizes)
        self.slots = [list(places) for places in slots]
        self._source = np.empty(sum(self.sizes), np.intp)
        for agent, places in enumerate(slots):
            self._source[list(places)] = agent * self.size + np.arange(len(places))
        self._half = ((high - low) / 2).astype(np.float32)
        self._middle = ((high + low) / 2).astype(np.float32)
        self._same_range = bool((low == -1).all() and (high == 1).all())

    @property
    def owner(self) -> Array:
        """The agent that each joint action belongs to `[M]`."""
        owner: Array = self._source // self.size
        return owner

    def write(self, action: Array, out: Array) -> None:
        """Writes the joint actions.

        Args:
            action: the agents' actions `[B, N, A]`, single precision.
            out: joint actions `[B, M]`, overwritten.
        """
        # The mode matters for speed only: with "raise", numpy copies the result once more.
        np.take(action.reshape(len(action), -1), self._source, axis=1, out=out, mode="clip")
        if not self._same_range:
            out *= self._half
            out += self._middle
