"""The small tools of all readers, and what layouts that only read say of writing."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.base import (
    Layout,
    Reading,
    count_within,
    require,
    require_rows,
    to_floats,
    to_own_rewards,
    to_team_reward,
)
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.errors import DataError

REWARDS = np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0], [0.0, -3.0, 0.0]])


class OnlyReads(Layout):
    name = "toy"

    def matches(self, path):
        return True

    def read(self, path, options):
        return Reading([])


class Writes(OnlyReads):
    def write(self, path, blocks, *, n_actions=None): ...


def test_layouts_that_can_be_written():
    assert not OnlyReads().writable and Writes().writable and OnlyReads.ignores == ()
    with pytest.raises(DataError, match="here must be written in a layout that can be, got 'toy'"):
        OnlyReads().write("here", [])


def test_nothing_is_known_of_a_reading_but_what_is_said():
    one, other = Reading([]), Reading([])
    assert (one.steps, one.n_actions, one.agents, one.actions, one.is_grouped) == (None,) * 4 + (False,)
    assert one.action_low is None and one.action_high is None
    assert one.left_out is not other.left_out and one.ends is not other.ends


@pytest.mark.parametrize(
    ("found", "expected"),
    [(np.float16, np.float16), (np.float64, np.float64), (np.int8, np.float32), (bool, np.float32)],
)
def test_floats_stay_as_they_are(found, expected):
    values = to_floats(np.array([0, 1], found))
    assert values.dtype == expected and values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("how", "expected"), [("mean", [3, 4, -1]), ("sum", [9, 12, -3]), ("first", [1, 4, 0])]
)
def test_rewards_of_agents_become_the_teams(how, expected):
    options = ReadOptions(team_reward=how)
    assert to_team_reward(REWARDS, options, "here").tolist() == expected
    for rewards in (REWARDS[:, 0], REWARDS[:, :1]):
        assert to_team_reward(rewards, options, "here").tolist() == [1, 4, 0]


def test_rewards_that_differ_are_no_teams_reward():
    same = np.repeat(REWARDS[:, :1], 3, 1)
    for rewards in (REWARDS[:, 0], same[:, :1], same, same[..., None]):
        assert to_team_reward(rewards, ReadOptions(), "here").tolist() == [1, 4, 0]
    with pytest.raises(DataError, match=r"here: .* in 1 rows, first in row 2: \[0.0, -3.0, 0.0\]"):
        to_team_reward(np.where([[False], [False], [True]], REWARDS, same), ReadOptions(), "here")
    with pytest.raises(DataError, match=r"in 2 rows, first in row 0: \[1.0, 2.0, 6.0\].*team_reward='mean'"):
        to_team_reward(REWARDS, ReadOptions(), "here")
    assert to_team_reward(REWARDS[:0], ReadOptions(), "here").shape == (0,)


def test_own_rewards_where_they_are_asked_for():
    asked = ReadOptions(agent_rewards=True)
    assert to_own_rewards(REWARDS, ReadOptions(), "here") is None
    for rewards in (REWARDS, REWARDS[..., None]):
        assert to_own_rewards(rewards, asked, "here").tolist() == REWARDS.tolist()
    assert to_own_rewards(REWARDS[:, :2], asked, "here").shape == (3, 2)
    for rewards in (REWARDS[:, 0], REWARDS[:, :1]):
        with pytest.raises(DataError, match="here: there is one reward of the team only"):
            to_own_rewards(rewards, asked, "here")


@pytest.mark.parametrize(
    ("lengths", "expected"), [([2, 0, 3], [0, 1, 0, 1, 2]), ([1, 1], [0, 0]), ([0], []), ([], [])]
)
def test_counting_within_episodes(lengths, expected):
    assert count_within(np.array(lengths, int)).tolist() == expected


def test_everything_that_is_wrong_in_one_message():
    require([], "here")
    with pytest.raises(DataError, match=r"^here: one; two\. Is the file complete\?"):
        require(["one", "two"], "here")
    with pytest.raises(DataError, match=r"^here: one\. Write it again$"):
        require(["one"], "here", "Write it again")
    arrays = {"a": np.zeros((3, 4)), "b": np.zeros((4, 3)), "c": np.zeros(2)}
    with pytest.raises(DataError, match="here: 'b' has 4 rows, expected 3; 'c' has 2 rows, expected 3"):
        require_rows(arrays, 3, "here")
    require_rows({"a": arrays["a"]}, 3, "here")
