"""Padded features: those of one agent that never change, while another agent's do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tensordict import TensorDictBase

from omiga_torchrl.data.agent_arrays import Array

# Rows that are looked at together.
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class AgentPadding:
    """Padded features of one agent.

    Attributes:
        agent: its number in its group.
        observation: last observation features that never change, while those of another agent do.
        action: the same of continuous actions.
        illegal: last discrete actions that its mask never allows, while that of another agent does.
    """

    agent: int
    observation: tuple[int, ...] = ()
    action: tuple[int, ...] = ()
    illegal: tuple[int, ...] = ()

    def __str__(self) -> str:
        entries = (("observation", self.observation), ("action", self.action))
        told = [f"{name} {_numbers(features)}" for name, features in entries if features]
        return f"agent {self.agent} ({', '.join(told)})"


class PaddingScan:
    """Ranges of every agent's features over data that pass by.

    Padding fills up unequal agents at the end, with one value. Features that change for no agent, such as a
    one-hot number of the agent behind the padding, are no part of it, and count as if they were not there.

    Examples:
        >>> scan = PaddingScan()
        >>> observation = np.array([[[1.0, 2.0], [1.0, 0.0]], [[2.0, 5.0], [3.0, 0.0]]])
        >>> scan.add(observation, action=np.array([[[0.5], [0.0]]]))
        >>> scan.found()
        (AgentPadding(agent=1, observation=(1,), action=(), illegal=()),)
    """

    def __init__(self) -> None:
        self._ranges: dict[str, Array] = {}
        self._legal: Array | None = None

    def add(
        self,
        observation: Array,
        *,
        action: Array | None = None,
        action_mask: Array | None = None,
        present: Array | None = None,
    ) -> None:
        """Take in some rows.

        Args:
            observation: `[R, N, O]`.

        Keyword Args:
            action: `[T, N, A]`; discrete ones have no features.
            action_mask: `[R, N, K]`.
            present: where an agent takes part `[R, N]`; its other rows are not looked at.
        """
        self._widen("observation", observation, present)
        if action is not None and action.dtype.kind == "f" and action.ndim == 3:
            self._widen("action", action, None)
        if action_mask is not None:
            legal = np.asarray(action_mask.any(0))
            self._legal = legal if self._legal is None else self._legal | legal

    def _widen(self, name: str, values: Array, present: Array | None) -> None:
        if not len(values):
            return
        low = high = values
        if present is not None:
            low = np.where(present[..., None], values, np.inf)
            high = np.where(present[..., None], values, -np.inf)
        found = np.stack([low.min(0), high.max(0)])
        if name in self._ranges:
            np.minimum(found[0], self._ranges[name][0], out=found[0])
            np.maximum(found[1], self._ranges[name][1], out=found[1])
        self._ranges[name] = found

    def found(self) -> tuple[AgentPadding, ...]:
        """The agents that have padded features, in order."""
        agents = []
        for agent in range(self._ranges["observation"].shape[1]):
            features = {name: _trailing(low, high, agent) for name, (low, high) in self._ranges.items()}
            one = AgentPadding(agent, **features, illegal=self._never_legal(agent))
            if one != AgentPadding(agent):
                agents.append(one)
        return tuple(agents)

    def _never_legal(self, agent: int) -> tuple[int, ...]:
        if self._legal is None or not self._legal[agent].any():
            return ()
        first = int(np.flatnonzero(self._legal[agent])[-1]) + 1
        last = int(np.flatnonzero(self._legal.any(0))[-1]) + 1
        return tuple(range(first, last))


def find_padding(data: TensorDictBase, group: str) -> tuple[AgentPadding, ...]:
    """The padded features of the agents of a group, but for illegal actions, which masks take care of.

    Args:
        data: transitions `[T]`.
        group: name of the group.
    """
    scan = PaddingScan()
    for first in range(0, len(data), ROWS_AT_ONCE):
        part = data[first : first + ROWS_AT_ONCE]
        for rows in (part, part["next"]):
            observation = rows.get((group, "observation"), None)
            if observation is None:
                continue
            action, present = rows.get((group, "action"), None), rows.get((group, "agent_mask"), None)
            scan.add(
                observation.numpy(),
                action=None if action is None else action.numpy(),
                present=None if present is None else present.numpy(),
            )
    return scan.found()


def describe_padding(padding: Sequence[AgentPadding], group: str = "") -> str:
    """Which agents have which padded features, in words.

    Args:
        padding: of :func:`find_padding`.
        group: name of their group, if there are several.

    Examples:
        >>> describe_padding([AgentPadding(2, (14, 15, 16, 20), (1,))], "prey")
        "agent 2 (observation features 14 to 16, 20, action feature 1) of group 'prey'"
    """
    return ", ".join(map(str, padding)) + (f" of group {group!r}" if group else "")


def _trailing(low: Array, high: Array, agent: int) -> tuple[int, ...]:
    """The last features of an agent that are one constant, of those that change for any agent."""
    constant = low == high
    changing = np.flatnonzero(~constant.all(0))
    found: list[int] = []
    for feature in changing[::-1]:
        if not constant[agent, feature] or (found and low[agent, feature] != low[agent, found[-1]]):
            break
        found.append(int(feature))
    return tuple(reversed(found))


def _numbers(features: tuple[int, ...]) -> str:
    runs: list[list[int]] = []
    for one in features:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    # Two in a row are no range.
    told = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return f"feature{'s' if len(features) > 1 else ''} {', '.join(told)}"
