"""Rows of whole episodes as steps: which are, which only hold what was seen, and which are dropped."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.steps import (
    count_steps,
    discrete_actions,
    find_step_rows,
    require_own_final,
    steps_to_episodes,
    whole_actions,
)
from omiga_torchrl.errors import DataError


def flags(text):
    return np.array([one == "1" for one in text])


def make(terminated, lengths, **options):
    """Episodes of rows that are numbered from 1 on, in observations, actions and rewards alike."""
    rows = np.arange(1.0, sum(lengths) + 1)
    twice = np.stack([rows, -rows], 1)
    return steps_to_episodes(twice[..., None], twice, rows, flags(terminated), np.array(lengths), **options)


def test_rows_of_long_and_single_episodes():
    rows = find_step_rows(flags("1001"), np.array([3, 1, 2, 1]), known=flags("1001"))
    assert rows.row.tolist() == [0, 1, 2, 2, 4, 5, 6, 6]
    assert rows.is_step.tolist() == [True, True, True, False, True, False, True]
    assert rows.length.tolist() == [3, 1, 1]
    assert rows.terminated.tolist() == [False, False, True, False, True]
    assert rows.truncated.tolist() == [False, False, False, True, False]


def test_time_outs_of_which_the_end_is_known_keep_every_row():
    rows = find_step_rows(flags("00"), np.array([1, 2]), known=flags("11"))
    assert rows.row.tolist() == [0, 0, 1, 2, 2] and rows.is_step.all()
    assert rows.truncated.tolist() == [True, False, True] and not rows.terminated.any()


@pytest.mark.parametrize(
    ("terminated", "delimited", "steps"), [("11", "00", 5), ("10", "00", 4), ("10", "10", 3), ("01", "01", 3)]
)
def test_counted_steps_are_those_that_are_kept(terminated, delimited, steps):
    lengths = [2, 3]
    assert count_steps(flags(terminated), np.array(lengths), flags(delimited)) == steps
    assert make(terminated, lengths, delimited=flags(delimited)).steps == steps


def test_unknown_last_rows_serve_as_what_was_seen():
    left_out = LeftOut()
    found = make("100", [2, 3, 1], left_out=left_out)
    assert found.length.tolist() == [2, 2]
    assert found.observation[..., 0].tolist() == [[n, -n] for n in (1, 2, 2, 3, 4, 5)]
    assert found.action.tolist() == [[n, -n] for n in (1, 2, 3, 4)] and found.reward.tolist() == [1, 2, 3, 4]
    assert found.terminated.tolist() == [False, True, False, False]
    assert found.truncated.tolist() == [False, False, False, True]
    assert left_out.steps == 2
    assert left_out.whole_returns(found.returns()).tolist() == [3, 12, 6]


def test_delimiters_are_no_steps_that_are_left_out():
    left_out = LeftOut()
    found = make("010", [3, 2, 3], delimited=flags("110"), left_out=left_out)
    assert found.length.tolist() == [2, 1, 2] and found.reward.tolist() == [1, 2, 4, 6, 7]
    assert found.observation[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found.terminated.tolist() == [False, False, True, False, False]
    assert found.truncated.tolist() == [False, True, False, False, True]
    assert left_out.steps == 1 and left_out.whole_returns(found.returns()).tolist() == [3, 4, 21]


def test_where_all_episodes_are_delimited_nothing_is_copied():
    rows = np.zeros((4, 1, 1))
    both = flags("11")
    found = steps_to_episodes(rows, rows, np.zeros(4), both, np.array([2, 2]), delimited=both)
    assert np.shares_memory(found.observation, rows) and found.length.tolist() == [1, 1]


def test_delimiters_without_a_step_are_no_episodes():
    left_out = LeftOut()
    found = make("11", [1, 2], delimited=flags("11"), left_out=left_out)
    assert found.length.tolist() == [1] and found.observation[:, 0, 0].tolist() == [2, 3]
    assert found.reward.tolist() == [2] and left_out.steps == 0


def test_what_followed_is_taken_where_it_is_known():
    after = np.array([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0], [-7.0, -8.0]])[..., None]
    left_out = LeftOut()
    found = make("0010", [2, 1, 2, 3], following=(after, flags("1000")), left_out=left_out)
    assert found.length.tolist() == [2, 2, 2]
    assert found.observation[..., 0].tolist() == [
        [1, -1], [2, -2], [-1, -2],
        [4, -4], [5, -5], [5, -5],
        [6, -6], [7, -7], [8, -8],
    ]  # fmt: skip
    assert found.truncated.tolist() == [False, True, False, False, False, True]
    assert left_out.steps == 2 and left_out.single[0].tolist() == [3]


def test_what_followed_is_of_no_use_behind_a_delimiter():
    after = np.full((3, 2, 1), 99.0)
    found = make("000", [2, 3, 1], delimited=flags("011"), following=(after, flags("111")))
    assert found.length.tolist() == [2, 2]
    assert found.observation[:, 0, 0].tolist() == [1, 2, 99, 3, 4, 5]


def test_masks_and_states_follow_the_observations_and_rewards_the_steps():
    number = np.arange(5)
    legal = number[:, None, None] % np.array([2, 3])[:, None] == np.arange(3)
    present = np.stack([number != 1, number != 4], 1)
    found = make(
        "01",
        [3, 2],
        action_mask=legal,
        state=10.0 * number[:, None],
        own_reward=np.stack([number, -number], 1) / 2,
        agent_mask=present,
    )
    rows = [0, 1, 2, 3, 4, 4]
    assert found.state.ravel().tolist() == [0, 10, 20, 30, 40, 40]
    np.testing.assert_array_equal(found.action_mask, legal[rows])
    np.testing.assert_array_equal(found.agent_mask, present[rows])
    assert found.groups["agents"].reward.tolist() == [[n / 2, -n / 2] for n in (0, 1, 3, 4)]
    plain = make("01", [3, 2])
    assert plain.state is None and plain.action_mask is None and plain.agent_mask is None
    assert plain.groups["agents"].reward is None


def observed(truncated, foreign, *, lengths=3):
    """Rows of episodes whose values count up; those of ``foreign`` end with the next one's first row."""
    episodes = len(truncated)
    seen = np.arange(episodes * lengths * 4.0).reshape(-1, 2, 2)
    last = np.arange(1, episodes + 1) * lengths - 1
    for one in foreign:
        seen[last[one]] = seen[last[one] + 1]
    return seen, np.full(episodes, lengths), flags(truncated), "here"


def test_last_observations_of_the_next_episode_are_refused():
    require_own_final(*observed("11111", []))
    require_own_final(*observed("11", [0]))  # one may be chance
    require_own_final(*observed("111111", [0, 1]))  # 2 of 5 are less than half
    with pytest.raises(DataError, match=r"here: what was seen after 2 of 4 truncated .* timeout_is_terminal"):
        require_own_final(*observed("11111", [0, 1]))
    # Only those of truncated episodes are bootstrapped from.
    require_own_final(*observed("10101", [0, 1]))
    with pytest.raises(DataError, match="2 of 2"):
        require_own_final(*observed("01010", [1, 3]))


def test_last_observations_that_stand_still_or_differ_are_their_own():
    seen, *rest = observed("1111", [0, 1, 2])
    with pytest.raises(DataError, match="3 of 3"):
        require_own_final(seen, *rest)
    still = seen.copy()
    still[1::3] = still[2::3]
    require_own_final(still, *rest)
    still[1::3, 0, 1] -= 1  # a single feature moves
    with pytest.raises(DataError, match="3 of 3"):
        require_own_final(still, *rest)
    seen[2::3, 1, 0] += 1  # a single one is not the next episode's
    require_own_final(seen, *rest)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64])
def test_whole_numbers_are_actions(dtype):
    found = whole_actions(np.array([[0, 2], [1, 0]], dtype), 3, "here")
    assert found.dtype == np.int64 and found.tolist() == [[0, 2], [1, 0]]
    assert whole_actions(np.array([[100]], dtype), None, "here").tolist() == [[100]]


@pytest.mark.parametrize("bad", [0.5, -1.0, 3.0, np.nan])
def test_other_numbers_are_none(bad):
    actions = np.zeros((4, 2))
    actions[[1, 3], [1, 0]] = bad
    told = r"here: actions are \[0.0, .*\] in 2 steps, first in step 1; expected whole numbers from 0 to 2"
    with pytest.raises(DataError, match=told):
        whole_actions(actions, 3, "here")
    if bad != 3:
        with pytest.raises(DataError, match="from 0 to K - 1"):
            whole_actions(actions, None, "here")


def test_indices_and_one_hot_vectors_are_the_same_actions():
    index = np.array([[0, 2], [1, 1], [2, 0]])
    one_hot = np.eye(3)[index]
    for actions in (index, index[..., None], one_hot, one_hot.astype(bool), one_hot.astype(np.int8)):
        for count in (3, None):
            found = discrete_actions(actions, count, "here")
            assert found.dtype.kind == "i" and found.tolist() == index.tolist()


def test_vectors_that_are_not_one_hot():
    for wrong in ([1, 1, 0], [0, 0, 0], [1, 0.5, 0], [2, 0, 0]):
        actions = np.eye(3)[[[0, 1], [1, 2], [2, 0]]]
        actions[1, 1] = wrong
        with pytest.raises(
            DataError, match=r"here: actions are .* in 1 steps; expected an index or a one-hot"
        ):
            discrete_actions(actions, 3, "here")
    with pytest.raises(DataError, match=r"actions are \(1, 2, 3\); .* vector of 4 actions"):
        discrete_actions(np.eye(3)[[[0, 1]]], 4, "here")
