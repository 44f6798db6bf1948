"""Episodes of OMIGA's MuJoCo files, by hand: rewards of last rows, ends, masks and states, in any blocks."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import ReadOptions, omiga_mujoco
from omiga_torchrl.data.layouts.omiga_mujoco import OmigaMujocoLayout
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import write_h5

LAYOUT = OmigaMujocoLayout()


@pytest.fixture(params=[2**22, 1], ids=["one block", "a block an episode"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(omiga_mujoco, "BLOCK_BYTES", request.param)


def make(ends, **changes):
    """Rows that are numbered from 1 on; ``ends`` has a "d" for every row with a mark."""
    number = np.arange(1.0, len(ends) + 1)
    done = np.array([one == "d" for one in ends])
    observation = np.stack([number, -number], 1)[..., None] * [1.0, 0.5]
    arrays = {
        "s": observation,
        "o": observation,
        "a": np.stack([number, 2 * number], 1)[..., None],
        "r": np.where(done, 0, number)[:, None],
        "d": done[:, None].astype(np.float32),
    }
    return {**arrays, **changes}


def read(path, arrays, **options):
    reading = LAYOUT.read(write_h5(path, arrays), ReadOptions(**options))
    episodes = Episodes.concatenate(list(reading.blocks))
    assert reading.steps == episodes.steps and reading.actions == "raw"
    return episodes, reading


def test_rows_behind_the_last_step_are_no_steps(tmp_path, blocks):
    episodes, reading = read(tmp_path / "a.hdf5", make("..d.dd...d"))
    assert episodes.length.tolist() == [2, 1, 3]
    assert episodes.observation[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert episodes.reward.tolist() == [1, 2, 4, 7, 8, 9] and episodes.action[:, 1, 0].tolist() == [
        2,
        4,
        8,
        14,
        16,
        18,
    ]
    assert episodes.terminated.nonzero()[0].tolist() == [1, 2, 5] and not episodes.truncated.any()
    assert episodes.state is None and episodes.agent_mask is None and reading.left_out.steps == 0
    assert reading.ends.dropped == {"delimiter rows without an episode": 1, "delimiter rows": 3}


def test_rewards_of_rows_with_a_mark_count_in_the_returns(tmp_path, blocks):
    arrays = make("..d.dd...d")
    arrays["r"][[2, 5], 0] = 100, 7
    episodes, reading = read(tmp_path / "a.hdf5", arrays)
    assert episodes.reward.tolist() == [1, 2, 4, 7, 8, 9] and reading.left_out.steps == 2
    assert reading.left_out.whole_returns(episodes.returns()).tolist() == [103, 4, 24, 7]


def test_rewards_of_agents(tmp_path, blocks):
    arrays = make("..d..d")
    arrays["r"] = np.array([[1, 3], [2, 4], [9, 1], [5, 5], [6, 6], [0, 0]], float)
    episodes, reading = read(tmp_path / "a.hdf5", arrays, team_reward="sum")
    assert episodes.reward.tolist() == [4, 6, 10, 12]
    assert reading.left_out.whole_returns(episodes.returns()).tolist() == [20, 22]


def test_time_outs_and_an_episode_that_stops(tmp_path, blocks):
    episodes, reading = read(
        tmp_path / "a.hdf5", make("..d.d..."), timeout_is_terminal=False, max_steps=2, incomplete="truncated"
    )
    assert episodes.length.tolist() == [2, 1, 2]
    assert episodes.truncated.tolist() == [False, True, False, False, True]
    assert episodes.terminated.tolist() == [False, False, True, False, False]
    assert reading.ends.is_cut(3).tolist() == [False, False, True]
    with pytest.raises(DataError, match="the last episode, rows 5 to 7, has no end"):
        read(tmp_path / "b.hdf5", make("..d.d..."))
    with pytest.raises(ValueError, match="pass max_steps="):
        read(tmp_path / "c.hdf5", make("..d"), timeout_is_terminal=False)


def test_masks_and_states_of_observations(tmp_path, blocks):
    number = np.arange(6)
    mask = np.stack([number != 1, number != 4], 1).astype(np.float32)
    state = np.stack([number, 10 + number], 1)[..., None] * np.ones(3)
    episodes, _ = read(tmp_path / "a.hdf5", make("..d..d", s=state, agent_mask=mask))
    np.testing.assert_array_equal(episodes.state, state.reshape(6, 6))
    np.testing.assert_array_equal(episodes.agent_mask, mask == 1)
    flat, _ = read(tmp_path / "b.hdf5", make("..d..d", s=state[:, 0]))
    np.testing.assert_array_equal(flat.state, state[:, 0])


def test_last_rows_of_the_next_episode_are_refused(tmp_path):
    arrays = make("..d..d..d..d")
    arrays["o"] = arrays["s"] = arrays["o"].copy()
    arrays["o"][[2, 5, 8]] = arrays["o"][[3, 6, 9]]
    assert read(tmp_path / "a.hdf5", arrays)[0].steps == 8
    with pytest.raises(DataError, match=r"a.hdf5: what was seen after 3 of 3 truncated episodes"):
        read(tmp_path / "a.hdf5", arrays, timeout_is_terminal=False, max_steps=2)


def test_a_state_that_differs_later_is_an_error(tmp_path, blocks, monkeypatch):
    arrays = make("..d..d")
    arrays["s"] = arrays["s"].copy()
    arrays["s"][4, 1, 1] += 1
    monkeypatch.setattr(omiga_mujoco, "same_rows", lambda fields: True)
    with pytest.raises(DataError, match="'s' equals 'o' in many rows, but not in row 4"):
        read(tmp_path / "a.hdf5", arrays)
