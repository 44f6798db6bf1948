"""`LeftOut`: last steps that were left out, and what they add to the returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.plain_files import open_npz

_FILE: Final = "left_out.npz"


@dataclass
class LeftOut:
    """Last steps of episodes that were left out, as what the team saw after them is unknown.

    Their rewards still count in the returns of the episodes.

    Attributes:
        rewards: of the step that was left out of every stored episode, or 0, part by part `[E]`.
        dropped: whether there was one `[E]`.
        single: rewards of episodes of a single step, which are left out as a whole.

    Examples:
        >>> left_out = LeftOut()
        >>> left_out.add(np.array([1.0, 2.0, 5.0]), np.array([2, 1]), np.array([True, True]))
        >>> left_out.steps, left_out.whole_returns(np.array([1.0]))
        (2, array([3., 5.]))
    """

    rewards: list[Array] = field(default_factory=list)
    dropped: list[Array] = field(default_factory=list)
    single: list[Array] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps were left out."""
        return int(sum(map(np.sum, self.dropped)) + sum(map(len, self.single)))

    def add(self, reward: Array, length: Array, dropped: Array) -> None:
        """Take in a block, in the order of the blocks.

        Args:
            reward: of every row `[T]`.
            length: rows of every episode `[E]`.
            dropped: whether the last row of an episode was left out `[E]`.
        """
        self.add_last(reward[np.cumsum(length) - 1], length, dropped)

    def add_last(self, reward: Array, length: Array, dropped: Array) -> None:
        """Take in the last rows of a block.

        Args:
            reward: of the last row of every episode `[E]`.
            length: rows of every episode `[E]`.
            dropped: whether the last row was left out `[E]`.
        """
        of_last = np.where(dropped, reward, 0.0).astype(np.float64)
        gone = dropped & (length == 1)
        self.rewards.append(of_last[~gone])
        self.dropped.append(dropped[~gone])
        self.single.append(of_last[gone])

    def whole_returns(self, returns: Array) -> Array:
        """The returns of all episodes with what was left out, those of a single row last.

        Args:
            returns: of the steps that are left, of every episode that has some.
        """
        if not self.steps:
            return returns
        return np.concatenate([returns + np.concatenate(self.rewards), *self.single])

    def save(self, folder: Path) -> None:
        """Keep what was left out beside a converted dataset, if there is anything."""
        if self.steps:
            np.savez(
                folder / _FILE,
                rewards=np.concatenate(self.rewards),
                dropped=np.concatenate(self.dropped),
                single=np.concatenate([np.zeros(0), *self.single]),
            )

    @classmethod
    def load(cls, folder: Path, episodes: int) -> LeftOut:
        """The steps that a converted dataset left out.

        Args:
            folder: its folder.
            episodes: how many are stored.
        """
        if not (folder / _FILE).is_file():
            return cls([np.zeros(episodes)], [np.zeros(episodes, bool)], [])
        with open_npz("OfflineDataset", folder / _FILE, "Remove the folder: it is converted again.") as file:
            return cls([file["rewards"]], [file["dropped"]], [file["single"]])
