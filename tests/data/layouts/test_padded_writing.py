"""Episodes as PyMARL's padded files: every field by hand, in one go and in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import AgentArrays, Episodes
from omiga_torchrl.data.layouts import padded_writing
from omiga_torchrl.data.layouts.padded_writing import write_padded
from omiga_torchrl.errors import DataError

LENGTH = np.array([2, 1, 3])
ROWS = np.arange(1.0, 10)  # numbers of the nine observations
STEPS = np.arange(1, 7)


def make(**changes):
    """Three episodes of two agents whose values count up; the first one terminates."""
    last = np.cumsum(LENGTH) - 1
    arrays = {
        "observation": np.stack([ROWS, -ROWS], 1)[..., None] * [1.0, 0.5, 0.25],
        "action": np.stack([STEPS, STEPS % 3], 1),
        "reward": STEPS / 2,
        "terminated": last[0] == STEPS - 1,
        "truncated": np.isin(STEPS - 1, last[1:]),
        "length": LENGTH,
    }
    return Episodes(**{**arrays, **changes})


def written(folder, blocks, n_actions=None):
    folder.mkdir(parents=True)
    write_padded(folder, blocks, n_actions)
    assert all(file.suffix == ".npy" for file in folder.iterdir())
    return {file.stem: np.load(file) for file in folder.iterdir()}


def test_fields_are_padded_to_the_longest_episode(tmp_path):
    found = written(tmp_path / "a", [make()], 8)
    assert set(found) == {"actions", "avail_actions", "filled", "obs", "reward", "state", "terminated"}
    number = np.array([[1, 2, 3, 0], [4, 5, 0, 0], [6, 7, 8, 9]])
    obs = np.stack([number, -number], 2)[..., None] * np.array([1, 0.5, 0.25])
    np.testing.assert_array_equal(found["obs"], obs.astype(np.float32), strict=True)
    np.testing.assert_array_equal(found["state"], obs.reshape(3, 4, 6))
    # Behind the last step there is neither an action nor a reward.
    step = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 0]])
    actions = np.stack([step, step % 3], 2)[..., None]
    np.testing.assert_array_equal(found["actions"], actions.astype(np.int64), strict=True)
    np.testing.assert_array_equal(found["reward"], (step / 2)[..., None].astype(np.float32), strict=True)
    assert found["terminated"][..., 0].tolist() == [[0, 1, 0, 0], [0] * 4, [0] * 4]
    assert found["filled"][..., 0].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    legal = np.broadcast_to((number > 0)[..., None, None], (3, 4, 2, 8))
    np.testing.assert_array_equal(found["avail_actions"], legal.astype(np.int32), strict=True)


def test_masks_and_states_are_those_that_are_given(tmp_path):
    legal = (ROWS[:, None, None] + [[0], [1]]) % [2, 3, 4, 5, 6, 7, 8] > 0
    present = np.stack([ROWS != 2, ROWS != 5], 1)
    state = np.stack([ROWS, ROWS**2], 1)
    found = written(tmp_path / "a", [make(action_mask=legal, agent_mask=present, state=state)])
    filled = found["filled"][..., 0] == 1
    for name, values in (("avail_actions", legal), ("agent_mask", present), ("state", state)):
        np.testing.assert_array_equal(found[name][filled], values)
        assert not found[name][~filled].any()
    assert found["state"].shape == (3, 4, 2) and found["agent_mask"].dtype == np.uint8


@pytest.mark.parametrize("size", [1, 200, 2**20])
def test_blocks_and_pieces_make_no_difference(tmp_path, monkeypatch, size):
    expected = written(tmp_path / "a", [make()], 8)
    monkeypatch.setattr(padded_writing, "BLOCK_BYTES", size)
    parts = [make().part(0, 1), make().part(1, 2), make().part(2, 3)]
    found = written(tmp_path / "b", iter(parts), 8)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, strict=True)


def test_what_has_no_place_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"PymarlNpyLayout: nothing to write .* at least one episode"):
        written(tmp_path / "a", [], 8)
    with pytest.raises(DataError, match="PymarlNpyLayout: episodes have no action mask; pass n_actions="):
        written(tmp_path / "b", [make()])
    with pytest.raises(DataError, match="PymarlNpyLayout: actions are continuous"):
        written(tmp_path / "c", [make(action=np.ones((6, 2, 1)))], 8)
    with pytest.raises(
        DataError, match=r"'avail_actions' changes from .*\(2, 8\).* to .*\(2, 9\).* one task"
    ):
        written(tmp_path / "d", [make(), make(action_mask=np.ones((9, 2, 9), bool))], 8)
    one = make()
    own = AgentArrays(one.observation, one.action, reward=np.ones((6, 2)))
    with pytest.raises(DataError, match=r"PymarlNpyLayout: .*no place for every agent's own reward"):
        written(tmp_path / "e", [one.replaced(groups={"agents": own})], 8)
