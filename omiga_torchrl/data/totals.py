"""Sums over a dataset whose blocks pass by: its statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.moments import RunningMoments

# Single precision of a bound such as 1.0 may lie a rounding error outside it.
TOLERANCE = 1e-5


@dataclass
class GroupTotals:
    """Of one group; rows in which an agent does not take part count for nothing.

    Attributes:
        observation: mean and deviation of every feature, over agents.
        largest: largest size of every action feature `[A]`; 0 for discrete actions.
        outside: steps with an action beyond +-1.
    """

    observation: RunningMoments = field(default_factory=RunningMoments)
    largest: Array = field(default_factory=lambda: np.zeros(1))
    outside: int = 0

    def add(self, group: AgentArrays, is_step: Array) -> None:
        """Take in the rows and steps of a block.

        Args:
            group: the group's arrays.
            is_step: which of its rows a step follows `[R]`.
        """
        mask = group.agent_mask
        self.observation.add(group.observation if mask is None else group.observation[mask])
        if group.is_discrete:
            return
        size = np.abs(group.action)
        if mask is not None:
            size = size * mask[is_step][..., None]  # NaN stays
        features = size.shape[-1]
        largest = size.reshape(len(size), -1).max(0).reshape(-1, features).max(0)
        self.largest = np.maximum(self.largest, largest)
        if self.largest.max() > 1 + TOLERANCE:
            self.outside += int((size > 1 + TOLERANCE).reshape(len(size), -1).any(1).sum())


@dataclass
class Totals:
    """Of a whole dataset.

    Attributes:
        groups: of every group, by name.
        reward: mean and deviation of the team's reward.
        state: of every feature of a stored state.
        returns: returns of all episodes, block by block.
        steps: transitions.
    """

    groups: dict[str, GroupTotals] = field(default_factory=dict)
    reward: RunningMoments = field(default_factory=RunningMoments)
    state: RunningMoments = field(default_factory=RunningMoments)
    returns: list[Array] = field(default_factory=list)
    steps: int = 0

    def add(self, block: Episodes) -> None:
        """Take in a block."""
        self.reward.add(block.reward[:, None].astype(np.float64))
        is_step = block.is_step()
        for name, group in block.groups.items():
            self.groups.setdefault(name, GroupTotals()).add(group, is_step)
        if block.state is not None:
            self.state.add(block.state)
        self.returns.append(block.returns())
        self.steps += block.steps

    def not_finite(self, block: Episodes) -> Iterator[str]:
        """The values of ``block``, the last one added, that are NaN or infinite.

        Sums tell whether there are any, so that rows are only looked at if there are.
        """
        finite = [("reward", block.reward, np.isfinite(self.reward.mean).all())]
        if block.state is not None:
            finite.append(("state", block.state, np.isfinite(self.state.mean).all()))
        for name, group in block.groups.items():
            prefix, totals = "" if block.is_plain else f"{name}/", self.groups[name]
            seen = group.observation
            # Moments leave absent agents out; losses multiply their values by 0, which NaN survives.
            whole = totals.observation.mean if group.agent_mask is None else seen
            finite.append((f"{prefix}observation", seen, np.isfinite(whole).all()))
            finite.append((f"{prefix}action", group.action, np.isfinite(totals.largest).all()))
            if group.reward is not None:
                finite.append((f"{name}/reward", group.reward, np.isfinite(group.reward).all()))
        for what, rows, is_finite in finite:
            if not is_finite:
                bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(1))
                at = self.steps - block.steps + int(bad[0]) if len(bad) else self.steps
                yield f"{what!r} is NaN or infinite in {len(bad)} rows, first near row {at}"
