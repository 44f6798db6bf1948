"""The base class of all layouts: what a reader returns, and its small tools."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from omiga_torchrl.action_bounds import ActionBound
from omiga_torchrl.action_conventions import ActionConvention
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.ends import relabel_ends, split_ends
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.spans import BLOCK_BYTES, block_spans
from omiga_torchrl.errors import DataError

__all__ = [
    "BLOCK_BYTES",
    "ActionConvention",
    "Counts",
    "Layout",
    "ReadOptions",
    "Reading",
    "block_spans",
    "count_within",
    "relabel_ends",
    "require",
    "require_rows",
    "split_ends",
    "to_floats",
    "to_own_rewards",
    "to_team_reward",
]


Counts = int | Mapping[str, int] | None
"""Number of discrete actions, of every group by its name where they differ."""


@dataclass
class Reading:
    """An open dataset: its episodes, block by block, and what is known beforehand.

    Attributes:
        blocks: whole episodes in order, about :data:`BLOCK_BYTES` at a time. Discrete actions
            are integers, continuous ones floats.
        steps: transitions in all, for the progress bar; ``None`` if that is not known.
        n_actions: number of discrete actions K, of every group by name where they differ; needed where
            actions are integers without a mask.
        agents: name of every group to the names of its agents, if they have some.
        is_grouped: whether ``ReadOptions.groups`` is taken care of.
        left_out: last steps that the blocks lack; complete when all blocks have been read.
        ends: what the reader found out about ends of episodes; complete when all blocks have been read.
        actions: the convention that holds if the user asks for none.
        action_low, action_high: bounds of continuous actions `[A]` of a plain team, if the data set has them.
    """

    blocks: Iterable[Episodes]
    steps: int | None = None
    n_actions: int | dict[str, int] | None = None
    agents: Mapping[str, Sequence[str]] | None = None
    actions: ActionConvention | None = None
    is_grouped: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)
    ends: EndNotes = field(default_factory=EndNotes)
    action_low: ActionBound | None = None
    action_high: ActionBound | None = None


class Layout(ABC):
    """One way in which datasets are laid out in files.

    Attributes:
        name: how users choose it; :func:`omiga_torchrl.data.register_layout` gives it.
        summary: one line: who writes it and what it looks like.
        ignores: options that mean nothing for it; giving one is an error.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    ignores: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def matches(self, path: Path) -> bool:
        """Whether the file or folder looks like this layout; cheap, and never raises."""

    @abstractmethod
    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Open it for streaming; the source is never written to.

        Raises:
            DataError: it is damaged, or not of this layout.
        """

    @property
    def writable(self) -> bool:
        """Whether :meth:`write` works."""
        return type(self).write is not Layout.write

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: Counts = None) -> None:
        """Write episodes in this layout, whole or not at all.

        Args:
            path: the file or folder; it must not be there yet.
            blocks: whole episodes, as :meth:`omiga_torchrl.data.OfflineDataset.blocks` gives them.
            n_actions: number of discrete actions K, for data without masks; of groups by their names.

        Raises:
            FileExistsError: there is something at ``path``.
            DataError: the layout has no place for these data, or cannot be written.
        """
        raise DataError(
            f"OfflineDataset: {path} must be written in a layout that can be, got {self.name!r}, which can "
            "only be read. Choose e.g. 'vault', 'pymarl-npy' or 'omiga-mujoco'."
        )


def to_floats(values: Array) -> Array:
    """Floats as they are, whole numbers in single precision.

    Examples:
        >>> to_floats(np.array([1, 2])).dtype, to_floats(np.array([1.0])).dtype
        (dtype('float32'), dtype('float64'))
    """
    return values if values.dtype.kind == "f" else values.astype(np.float32)


def to_team_reward(rewards: Array, options: ReadOptions, where: str) -> Array:
    """The team's reward `[T]` of rewards `[T]`, `[T, 1]` or `[T, N]`.

    Args:
        rewards: one per step, or one per step and agent.
        options: says how agents' rewards are put together.
        where: the file, for the message.

    Raises:
        DataError: the agents' rewards differ, and ``options.team_reward`` does not say how
            they become one.

    Examples:
        >>> to_team_reward(np.array([[1.0, 3.0]]), ReadOptions(team_reward="mean"), "file")
        array([2.])
    """
    rewards = rewards.reshape(len(rewards), math.prod(rewards.shape[1:]))
    if options.team_reward == "first":
        return rewards[:, 0]
    if options.team_reward is not None:
        return getattr(rewards, options.team_reward)(1)
    differ = (rewards[:, 1:] != rewards[:, :1]).any(1)
    if differ.any():
        raise DataError(
            f"{where}: the agents' rewards differ in {int(differ.sum())} rows, first in row "
            f"{int(differ.argmax())}: {rewards[differ][0].tolist()}; expected one reward of the team. "
            "Pass team_reward='mean', 'sum' or 'first'."
        )
    return rewards[:, 0]


def to_own_rewards(rewards: Array, options: ReadOptions, where: str) -> Array | None:
    """Every agent's own reward `[T, N]`, where ``options.agent_rewards`` asks for it.

    Args:
        rewards: one per step, or one per step and agent.
        options: says whether they are kept.
        where: the file, for the message.

    Raises:
        DataError: they are asked for, and there is one of the team only.

    Examples:
        >>> to_own_rewards(np.array([[1.0, 3.0]]), ReadOptions(agent_rewards=True), "file")
        array([[1., 3.]])
    """
    if not options.agent_rewards:
        return None
    rewards = rewards.reshape(len(rewards), math.prod(rewards.shape[1:]))
    if rewards.shape[1] == 1:
        raise DataError(f"{where}: there is one reward of the team only. Leave agent_rewards out.")
    return rewards


def count_within(lengths: Array) -> Array:
    """0, 1, ... within every episode.

    Examples:
        >>> count_within(np.array([2, 3]))
        array([0, 1, 0, 1, 2])
    """
    return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def require(found: list[str], where: str, fix: str = "Is the file complete? Fetch it again.") -> None:
    """Raise one :class:`DataError` for everything in ``found``, if there is anything."""
    if found:
        raise DataError(f"{where}: {'; '.join(found)}. {fix}")


def require_rows(arrays: dict[str, Any], rows: int, where: str) -> None:
    """Raise unless every array has ``rows`` rows; all that differ in one message."""
    found = [f"{name!r} has {len(a)} rows, expected {rows}" for name, a in arrays.items() if len(a) != rows]
    require(found, where)
