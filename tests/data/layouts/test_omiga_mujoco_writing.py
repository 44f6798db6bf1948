"""Episodes as the rows of OMIGA's MuJoCo files, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.layouts import omiga_mujoco_writing
from omiga_torchrl.data.layouts.omiga_mujoco_writing import append_rows, to_rows
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import h5py

NUMBER, STEPS = np.arange(5.0), np.arange(1.0, 4)


def make(**changes):
    """Episodes of two steps and one, of two agents."""
    arrays = {
        "observation": np.stack([NUMBER, -NUMBER], 1)[..., None] * [1.0, 2.0],
        "action": np.stack([STEPS, -STEPS], 1)[..., None],
        "reward": 10 * STEPS,
        "terminated": STEPS == 2,
        "truncated": STEPS == 3,
        "length": np.array([2, 1]),
    }
    return Episodes(**{**arrays, **changes})


def test_rows():
    block = make()
    rows = to_rows(block)
    assert list(rows) == ["s", "o", "a", "r", "d"] and rows["o"] is rows["s"] is block.observation
    assert rows["a"].dtype == rows["r"].dtype == rows["d"].dtype == np.float32
    assert rows["a"][..., 0].tolist() == [[1, -1], [2, -2], [0, 0], [3, -3], [0, 0]]
    assert rows["r"].tolist() == [[10], [20], [0], [30], [0]]
    assert rows["d"].tolist() == [[0], [0], [1], [0], [1]]


def test_states_are_shared_by_the_agents():
    state = np.arange(30.0).reshape(5, 6)
    assert to_rows(make(state=state))["s"].tolist() == state.reshape(5, 2, 3).tolist()
    with pytest.raises(DataError, match="'state' has 5 features, which 2 agents cannot share evenly"):
        to_rows(make(state=state[:, :5]))


def test_agents_that_come_and_go():
    mask = np.stack([NUMBER != 1, NUMBER != 4], 1)
    found = to_rows(make(agent_mask=mask))["agent_mask"]
    assert found.dtype == np.float32 and (found == mask).all()


def test_what_has_no_place_is_refused():
    legal = np.ones((5, 2, 3), bool)
    message = "OmigaMujocoLayout: 'action_mask' has no place in it; 'action' has type int64, expected"
    with pytest.raises(DataError, match=message):
        to_rows(make(action=np.ones((3, 2), int), action_mask=legal))
    group = make().groups["agents"]
    with pytest.raises(DataError, match="OmigaMujocoLayout: this layout has no place for the groups a, b"):
        to_rows(make().replaced(groups={"a": group, "b": group}))


def test_rows_are_appended(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for first, last in ((0, 3), (3, 4), (4, 9)):
            number = np.arange(first, last)
            append_rows(file, {"d": number[:, None], "o": number[:, None, None] * np.ones((2, 3))})
        assert file["d"].dtype == file["o"].dtype == "f4"
        assert file["d"][:, 0].tolist() == list(range(9)) and file["o"].shape == (9, 2, 3)
        assert (file["o"][:] == np.arange(9)[:, None, None]).all()
        with pytest.raises(DataError, match=r"'o' changes from \(2, 3\) to \(2, 4\) within the episodes"):
            append_rows(file, {"o": np.ones((1, 2, 4))})


@pytest.mark.parametrize(("size", "rows"), [(1, 1), (23, 1), (47, 1), (48, 2), (2**20, 2**20 // 24)])
def test_chunks_have_whole_rows(tmp_path, monkeypatch, size, rows):
    monkeypatch.setattr(omiga_mujoco_writing, "PIECE_BYTES", size)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        append_rows(file, {"o": np.ones((2, 2, 3))})
        assert file["o"].chunks == (rows, 2, 3)
