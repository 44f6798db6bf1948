"""The rows of a vault as episodes, by hand: delimiters, padding, masks and several blocks."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import vault_blocks
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.row_ends import RowEnds
from omiga_torchrl.data.layouts.vault_arrays import OWN
from omiga_torchrl.data.layouts.vault_blocks import read_blocks
from omiga_torchrl.data.spans import block_spans
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_vault import in_memory

NUMBER = np.arange(10)
# Rows 0 to 2 terminate; row 3 is padding; 4 to 6 end with a delimiter; 7 to 9 with an unknown time-out.
START, ROWS = np.array([0, 4, 7]), np.array([3, 3, 3])
DELIMITED, TERMINATED = np.array([False, True, False]), np.array([True, False, False])


def make(*, discrete=False, **more):
    """Rows whose observations, actions and rewards number them."""
    actions = NUMBER[:, None] % [3, 4] if discrete else np.stack([NUMBER, -NUMBER], 1)[..., None] / 10
    return {
        "observations": np.stack([NUMBER, 100 + NUMBER], 1)[..., None] * np.ones(3, np.int64),
        "actions": actions.astype(np.int32 if discrete else np.float32),
        "rewards": np.stack([NUMBER, NUMBER], 1),
        **more,
    }


def read(arrays, *, present=None, metadata=None, left_out=None, ends=None, terminated=TERMINATED, **options):
    ends = ends or RowEnds(START, ROWS, DELIMITED, TERMINATED, TERMINATED & False)
    files, left_out = in_memory(arrays, metadata), left_out or LeftOut()
    return list(read_blocks(files, ends, terminated, present, ReadOptions(**options), "here", left_out))


@pytest.fixture(params=[10**9, 1])
def blocks(request, monkeypatch):
    """In one block, and in one for each episode."""
    monkeypatch.setattr(vault_blocks, "block_spans", lambda *sizes: block_spans(*sizes, request.param))
    return 1 if request.param > 1 else 3


def test_episodes_of_rows(blocks):
    left_out = LeftOut()
    found = read(make(), left_out=left_out)
    assert len(found) == blocks
    whole = Episodes.concatenate(found)
    assert whole.length.tolist() == [3, 2, 2]
    assert whole.observation.dtype == np.float32 and whole.reward.dtype == np.float32
    assert whole.observation[:, 0, 2].tolist() == [0, 1, 2, 2, 4, 5, 6, 7, 8, 9]
    assert (whole.observation[:, 1] == whole.observation[:, 0] + 100).all()
    assert whole.reward.tolist() == [0, 1, 2, 4, 5, 7, 8]
    np.testing.assert_array_equal(whole.action[..., 0], np.float32([[n, -n] for n in whole.reward]) / 10)
    assert whole.terminated.nonzero()[0].tolist() == [2] and whole.truncated.nonzero()[0].tolist() == [4, 6]
    assert left_out.steps == 1 and left_out.whole_returns(whole.returns()).tolist() == [3, 9, 24]
    for name in ("state", "action_mask", "agent_mask"):
        assert getattr(whole, name) is None
    assert whole.groups["agents"].reward is None


def test_masks_states_and_own_rewards(blocks):
    legals = np.ones((10, 2, 5)) * (NUMBER % 2)[:, None, None] + [0, 0, 0, 0, 2]
    present = np.stack([NUMBER != 6, NUMBER != 3], 1)
    rewards = np.stack([NUMBER, 3 * NUMBER], 1)
    state = np.stack([NUMBER, NUMBER + 50], 1).reshape(10, 2, 1)
    arrays = make(discrete=True, **{"infos.legals": legals, "infos.state": state}) | {"rewards": rewards}
    found = read(arrays, present=present, agent_rewards=True, team_reward="sum")
    whole = Episodes.concatenate(found)
    rows, steps = [0, 1, 2, 2, 4, 5, 6, 7, 8, 9], [0, 1, 2, 4, 5, 7, 8]
    np.testing.assert_array_equal(whole.action, NUMBER[steps, None] % [3, 4])
    np.testing.assert_array_equal(whole.action_mask, legals[rows] != 0)
    np.testing.assert_array_equal(whole.agent_mask, present[rows])
    np.testing.assert_array_equal(whole.groups["agents"].reward, rewards[steps])
    np.testing.assert_array_equal(whole.reward, 4 * NUMBER[steps])
    assert whole.state.dtype == np.float32 and whole.state.tolist() == [[n, n + 50] for n in rows]


def test_legal_actions_of_continuous_ones_say_nothing():
    (found,) = read(make(**{"infos.legals": np.ones((10, 2, 5))}))
    assert found.action_mask is None and found.action.shape == (7, 2, 1)


def test_a_delimiters_action_is_not_looked_at():
    arrays = make(discrete=True, **{"infos.legals": np.ones((10, 2, 4))})
    arrays["actions"][6] = -1
    assert read(arrays)[0].action[3:5].tolist() == [[1, 0], [2, 1]]
    arrays["actions"][5] = -1
    with pytest.raises(DataError, match="here, rows 0 to 9: actions are"):
        read(arrays)


def test_states_that_only_repeat_observations_are_ours_to_leave_out():
    arrays = make(**{"infos.state": np.ones((10, 4))})
    assert read(arrays, metadata={OWN: {"state": "observations"}})[0].state is None
    for metadata in ({}, {OWN: "observations"}, {OWN: {"state": "own"}}, {OWN: {}}):
        assert read(arrays, metadata=metadata)[0].state.shape == (10, 4)


def test_delimiters_of_the_next_episode_are_refused():
    every = np.ones(4, bool)
    ends = RowEnds(np.array([0, 2, 4, 6]), np.full(4, 2), every, every & False, every & False)
    arrays = make()
    arrays["observations"][[1, 3, 5]] = arrays["observations"][[2, 4, 6]]
    with pytest.raises(DataError, match="here, rows 0 to 7: what was seen after 3 of 3 truncated"):
        read(arrays, ends=ends, terminated=every & False)
    assert read(arrays, ends=ends, terminated=every)[0].steps == 4
    # What was seen last may be what is seen next where it is a step's own.
    steps = RowEnds(ends.start, ends.rows, every & False, every & False, every & False)
    assert read(arrays, ends=steps, terminated=every & False)[0].steps == 4


def test_blocks_without_an_episode_are_left_out(blocks):
    left_out, three = LeftOut(), np.zeros(3, bool)
    ends = RowEnds(np.array([0, 1, 3]), np.array([1, 2, 1]), three, three, three)
    (found,) = read(make(), ends=ends, terminated=three, left_out=left_out)
    assert found.length.tolist() == [1] and found.reward.tolist() == [1] and left_out.steps == 3
