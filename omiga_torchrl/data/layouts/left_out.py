"""`LeftOut`: last steps that were left out, and what they add to the returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from omiga_torchrl.data.agent_arrays import Array


@dataclass
class LeftOut:
    """Last steps of episodes that were left out, as what the team saw after them is unknown.

    Their rewards still count in the returns of the episodes.

    Attributes:
        steps: how many.

    Examples:
        >>> left_out = LeftOut()
        >>> left_out.add(np.array([1.0, 2.0, 5.0]), np.array([2, 1]), np.array([True, True]))
        >>> left_out.steps, left_out.whole_returns(np.array([1.0]))
        (2, array([3., 5.]))
    """

    steps: int = 0
    _rewards: list[Array] = field(default_factory=list)
    _single: list[Array] = field(default_factory=list)

    def add(self, reward: Array, length: Array, dropped: Array) -> None:
        """Take in a block, in the order of the blocks.

        Args:
            reward: of every row `[T]`.
            length: rows of every episode `[E]`.
            dropped: whether the last row of an episode was left out `[E]`.
        """
        of_last = np.where(dropped, reward[np.cumsum(length) - 1], 0.0).astype(np.float64)
        gone = dropped & (length == 1)
        self.steps += int(dropped.sum())
        self._rewards.append(of_last[~gone])
        self._single.append(of_last[gone])

    def whole_returns(self, returns: Array) -> Array:
        """The returns of all episodes with what was left out, those of a single row last.

        Args:
            returns: of the steps that are left, of every episode that has some.
        """
        if not self.steps:
            return returns
        return np.concatenate([returns + np.concatenate(self._rewards), *self._single])
