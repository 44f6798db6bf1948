"""Sums over a dataset whose blocks pass by: its statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays, Array
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.moments import RunningMoments
from omiga_torchrl.groups import AnyTeamSpec

# Single precision of a bound may lie a rounding error outside it; as a share of half the range.
TOLERANCE = 1e-5
# Squares of larger values overflow in single precision.
LARGEST = 1e18
# Actions as near to a bound as this share of their range are on it: not more than two precisions differ.
ON_BOUND = 3e-8


def widened(low: Array, high: Array) -> tuple[Array, Array]:
    """Bounds of actions, wider by what rounding to single precision may take them beyond.

    Args:
        low: lower bounds.
        high: upper bounds.

    Examples:
        >>> [bound.item() for bound in widened(np.array(0.0), np.array(100.0))]
        [-0.0005, 100.0005]
    """
    size = high - low
    slack = TOLERANCE * np.where(size > 0, size, 2.0) / 2
    return low - slack, high + slack


@dataclass
class GroupTotals:
    """Of one group; rows in which an agent does not take part count for nothing.

    Attributes:
        low: lower bounds of its actions, with the shape of one step's, or a number.
        high: upper bounds.
        observation: mean and deviation of every feature, over agents.
        lowest: smallest value of every action feature `[N, A]`; NaN if one is. Without meaning if discrete.
        highest: largest value.
        outside: steps with an action beyond its bounds.
        on_bound: entries of actions that are on a bound, or beyond it.
        entries: entries of actions that have a range.
    """

    low: Array = field(default_factory=lambda: np.array(-1.0))
    high: Array = field(default_factory=lambda: np.array(1.0))
    observation: RunningMoments = field(default_factory=RunningMoments)
    lowest: Array = field(default_factory=lambda: np.full(1, np.inf))
    highest: Array = field(default_factory=lambda: np.full(1, -np.inf))
    outside: int = 0
    on_bound: int = 0
    entries: int = 0

    def add(self, group: AgentArrays, is_step: Array) -> None:
        """Take in the rows and steps of a block.

        Args:
            group: the group's arrays.
            is_step: which of its rows a step follows `[R]`.
        """
        mask = group.agent_mask
        self.observation.add(group.observation if mask is None else group.observation[mask])
        shape = group.action.shape[1:]
        # Other sizes than before, or than the card's, are an error of whoever stores them.
        fits = self.lowest.shape in ((1,), shape) and self.low.shape in ((), shape[1:], shape)
        if not group.is_discrete and group.action.size and fits:
            self._add_actions(group.action, None if mask is None else mask[is_step])

    def _add_actions(self, action: Array, present: Array | None) -> None:
        if present is not None:  # absent agents are in the middle of the box; NaN stays
            middle = ((self.low + self.high) / 2).astype(action.dtype)
            action = np.where(present[..., None] | ~np.isfinite(action), action, middle)
        self.lowest = np.minimum(self.lowest, action.min(0))
        self.highest = np.maximum(self.highest, action.max(0))
        low, high = widened(self.low, self.high)
        if (self.lowest < low).any() or (self.highest > high).any():
            beyond = (action < low) | (action > high)
            self.outside += int(beyond.reshape(len(action), -1).any(1).sum())
        has_range = np.broadcast_to(self.high > self.low, action.shape[1:])
        edge = ON_BOUND * (self.high - self.low)
        on_bound = (action <= self.low + edge) | (action >= self.high - edge)
        self.on_bound += int((on_bound & has_range).sum())
        there = len(action) if present is None else present.sum(0)[:, None]
        self.entries += int((has_range * there).sum())


@dataclass
class Totals:
    """Of a whole dataset.

    Attributes:
        groups: of every group, by name.
        reward: mean and deviation of the team's reward.
        state: of every feature of a stored state.
        returns: returns of all episodes, block by block.
        lengths: their steps, block by block.
        terminated: whether they terminated, block by block.
        steps: transitions.
    """

    groups: dict[str, GroupTotals] = field(default_factory=dict)
    reward: RunningMoments = field(default_factory=RunningMoments)
    state: RunningMoments = field(default_factory=RunningMoments)
    returns: list[Array] = field(default_factory=list)
    lengths: list[Array] = field(default_factory=list)
    terminated: list[Array] = field(default_factory=list)
    steps: int = 0

    @classmethod
    def of_team(cls, spec: AnyTeamSpec) -> Totals:
        """Nothing yet, of a team of these sizes.

        Args:
            spec: its groups and the bounds of their actions.
        """
        bounds = {
            name: (np.asarray(group.action_low), np.asarray(group.action_high))
            for name, group in spec.groups.items()
        }
        return cls({name: GroupTotals(low, high) for name, (low, high) in bounds.items()})

    def add(self, block: Episodes) -> None:
        """Take in a block."""
        self.reward.add(block.reward[:, None].astype(np.float64))
        is_step = block.is_step()
        for name, group in block.groups.items():
            self.groups.setdefault(name, GroupTotals()).add(group, is_step)
        if block.state is not None:
            self.state.add(block.state)
        self.returns.append(block.returns())
        self.lengths.append(block.length)
        self.terminated.append(block.terminated[np.cumsum(block.length) - 1])
        self.steps += block.steps

    def not_finite(self, block: Episodes) -> Iterator[str]:
        """The values of ``block``, the last one added, that are NaN or infinite.

        Sums tell whether there are any, so that rows are only looked at if there are.
        """
        finite: list[tuple[str, Array, Any]] = [("reward", block.reward, _is_sound(self.reward))]
        if block.state is not None:
            finite.append(("state", block.state, _is_sound(self.state)))
        for name, group in block.groups.items():
            prefix, totals = "" if block.is_plain else f"{name}/", self.groups[name]
            seen = group.observation
            # Moments leave absent agents out; losses multiply their values by 0, which NaN survives.
            is_sound = _is_sound(totals.observation) if totals.observation.count else True
            if group.agent_mask is not None:
                is_sound = is_sound and bool(np.isfinite(seen).all())
            finite.append((f"{prefix}observation", seen, is_sound))
            finite.append((f"{prefix}action", group.action, _is_finite(totals, group)))
            if group.reward is not None:
                finite.append((f"{name}/reward", group.reward, (np.abs(group.reward) < LARGEST).all()))
        for what, rows, is_finite in finite:
            if not is_finite:
                yield _told(what, rows, self.steps - block.steps)


def _told(what: str, rows: Array, first: int) -> str:
    """Where values are not finite, or too large."""
    flat = rows.reshape(len(rows), -1)
    bad, kind = ~np.isfinite(flat).all(1), "NaN or infinite"
    if not bad.any():
        bad, kind = (np.abs(flat) >= LARGEST).any(1), f"beyond {LARGEST:g}"
    return f"{what!r} is {kind} in {int(bad.sum())} rows, first near row {first + int(bad.argmax())}"


def _is_sound(moments: RunningMoments) -> bool:
    """Whether values are finite, and their squares in single precision, too."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(moments.mean) < LARGEST).all() and (moments.std < LARGEST).all())


def _is_finite(totals: GroupTotals, group: AgentArrays) -> bool:
    if group.is_discrete:
        return True
    return bool((np.abs(totals.lowest) < LARGEST).all() and (np.abs(totals.highest) < LARGEST).all())
