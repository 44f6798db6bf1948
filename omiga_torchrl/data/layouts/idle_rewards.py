"""Rewards of last rows that are no steps: the returns have them."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.base import ReadOptions, to_team_reward
from omiga_torchrl.data.layouts.left_out import LeftOut


def leave_out_rewards(
    rewards: Array, length: Array, may: Array, options: ReadOptions, where: str, left_out: LeftOut
) -> None:
    """Take in rewards of last rows of episodes that are no steps; those without a reward never were.

    Args:
        rewards: of the last row of every episode `[E]`, `[E, 1]` or `[E, N]`.
        length: rows of every episode `[E]`.
        may: whether the last row is no step `[E]`.
        options: say how agents' rewards are put together.
        where: the file, for messages.
        left_out: takes them in.

    Examples:
        >>> left_out, rows = LeftOut(), np.array([3, 3])
        >>> leave_out_rewards(np.array([5.0, 0.0]), rows, rows > 0, ReadOptions(), "file", left_out)
        >>> left_out.steps, left_out.whole_returns(np.array([1.0, 1.0]))
        (1, array([6., 1.]))
    """
    rewards = rewards.reshape(len(length), int(np.prod(rewards.shape[1:])))
    dropped, reward = may & (rewards != 0).any(1), np.zeros(len(length))
    if dropped.any():
        reward[dropped] = to_team_reward(rewards[dropped], options, where)
    left_out.add_last(reward, length, dropped)


def leave_out_padded(
    rewards: Array, filled: Array, ended: Array, options: ReadOptions, where: str, left_out: LeftOut
) -> None:
    """Take in the rewards of the last rows of padded episodes that ran out of time.

    Args:
        rewards: `[E, T1, ...]`.
        filled: which rows are no padding `[E, T1]`.
        ended: where the task ended, in rows that are filled `[E, T1]`.
        options: say how agents' rewards become one.
        where: the file, for messages.
        left_out: takes them in.
    """
    rows, over = filled.sum(1), np.asarray(ended.any(1))
    last = rewards[np.arange(len(rows)), np.maximum(rows, 1) - 1].reshape(len(rows), -1)
    # A single row without an end and a reward is padding.
    kept = over | (rows > 1) | ((rows > 0) & (last != 0).any(1))
    leave_out_rewards(last[kept], rows[kept], ~over[kept], options, where, left_out)
