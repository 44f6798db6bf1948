"""Rewards of last rows that are no steps, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.idle_rewards import leave_out_padded, leave_out_rewards
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.errors import DataError

MEAN = ReadOptions(team_reward="mean")


def told(left_out):
    """What was left out of stored episodes, and of those of a single row."""
    return [np.concatenate(part).tolist() for part in (left_out.rewards, left_out.dropped, left_out.single)]


def take(rewards, length, may, options=None):
    left_out = LeftOut()
    may = np.array(may, bool)
    leave_out_rewards(np.array(rewards), np.array(length), may, options or ReadOptions(), "here", left_out)
    return told(left_out)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_only_rewards_of_rows_that_are_no_steps(shape):
    rewards = np.array([5.0, 0.0, -2.0, 7.0]).reshape(shape)
    kept, dropped, single = take(rewards, [3, 3, 1, 2], [1, 1, 1, 0])
    assert (kept, dropped, single) == ([5, 0, 0], [True, False, False], [-2])
    assert take(rewards, [3, 3, 2, 1], [0, 0, 0, 0]) == [[0] * 4, [False] * 4, []]


def test_rewards_of_agents_that_add_up_to_nothing_are_left_out_too():
    rewards = [[1.0, -1.0], [0.0, 4.0], [0.0, 0.0], [8.0, 9.0]]
    may = [1, 1, 1, 0]
    assert take(rewards, [2] * 4, may, MEAN) == [[0, 2, 0, 0], [True, True, False, False], []]
    with pytest.raises(DataError, match="here: the agents' rewards differ in 2 rows"):
        take(rewards, [2] * 4, may)
    # Of rows that are steps it does not matter.
    assert take(rewards, [2] * 4, [0] * 4)[0] == [0] * 4


def test_padded_episodes():
    filled = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    ended = np.zeros((7, 3), bool)
    ended[1, 1] = ended[6, 0] = True
    rewards = np.arange(1.0, 22).reshape(7, 3)
    rewards[3] = 0
    for shape in ((7, 3), (7, 3, 1)):
        left_out = LeftOut()
        leave_out_padded(rewards.reshape(shape), filled, ended, ReadOptions(), "here", left_out)
        # 3 and 5 are padding, whatever is in it; 1 and 6 terminated.
        assert told(left_out) == [[3, 0, 8, 0], [True, False, True, False], [13]]
    left_out = LeftOut()
    leave_out_padded(np.stack([rewards, 3 * rewards], 2), filled, ended, MEAN, "here", left_out)
    assert told(left_out)[0] == [6, 0, 16, 0] and told(left_out)[2] == [26]


def test_a_single_row_without_a_reward_is_padding_and_two_are_an_episode():
    filled, left_out = np.array([[1, 1], [1, 0]], bool), LeftOut()
    leave_out_padded(np.zeros((2, 2)), filled, filled & False, ReadOptions(), "here", left_out)
    assert told(left_out) == [[0], [False], []]
