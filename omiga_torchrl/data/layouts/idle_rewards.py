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
