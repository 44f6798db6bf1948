"""The fields of D4RL's files: their sizes, and rows in which nothing happens."""

from __future__ import annotations

import re

import numpy as np
import pytest

from omiga_torchrl.data.layouts.d4rl_fields import idle_rows, open_fields
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import h5py, write_h5

ROWS = 4
ARRAYS = {
    "observations": np.ones((ROWS, 3)),
    "actions": np.ones((ROWS, 2)),
    "rewards": np.ones(ROWS),
    "terminals": np.zeros(ROWS, bool),
}


def opened(tmp_path, **changes):
    arrays = {name: a for name, a in {**ARRAYS, **changes}.items() if a is not None}
    with h5py.File(write_h5(tmp_path / "a.hdf5", arrays)) as file:
        return open_fields(file, tmp_path / "a.hdf5")


def test_fields_that_fit(tmp_path):
    assert list(opened(tmp_path)) == list(ARRAYS)
    column = np.zeros((ROWS, 1))
    more = {"timeouts": column, "next_observations": np.ones((ROWS, 3)), "infos": np.ones(7)}
    found = opened(tmp_path, rewards=column, terminals=column, **more)
    assert list(found) == [*ARRAYS, "timeouts", "next_observations"] and found["timeouts"].shape == (4, 1)
    assert opened(tmp_path, actions=np.ones((ROWS, 3)))["actions"].shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("observations", (4,), "expected (R, features)"),
        ("observations", (4, 3, 1), "expected (R, features)"),
        ("observations", (4, 0), "expected (R, features)"),
        ("actions", (4,), "expected (R, features)"),
        ("actions", (5, 2), "'observations' (4, 3)"),
        ("actions", (3, 2), "'observations' (4, 3)"),
        ("rewards", (4, 2), "expected (R,)"),
        ("rewards", (4, 1, 1), "expected (R,)"),
        ("rewards", (), "expected (R,)"),
        ("rewards", (3,), "'observations' (4, 3)"),
        ("terminals", (4, 0), "expected (R,)"),
        ("terminals", (5, 1), "'observations' (4, 3)"),
        ("timeouts", (3,), "'observations' (4, 3)"),
        ("timeouts", (4, 2), "expected (R,)"),
        ("next_observations", (4, 2), "'observations' (4, 3)"),
        ("next_observations", (5, 3), "'observations' (4, 3)"),
        ("next_observations", (4,), "expected (R, features)"),
    ],
)
def test_fields_that_do_not_fit(tmp_path, name, shape, expected):
    told = re.escape(f"{name!r} has shape {shape}, {expected}")
    with pytest.raises(DataError, match=f"a.hdf5: .*{told}.*Expected the fields observations, actions"):
        opened(tmp_path, **{name: np.ones(shape)})


def test_everything_is_told_at_once(tmp_path):
    with pytest.raises(DataError, match=r"'rewards' is missing; 'actions' has shape \(4,\), expected"):
        opened(tmp_path, rewards=None, actions=np.ones(4))
    with pytest.raises(DataError, match=r"a.hdf5: 'observations' is missing\. Expected"):
        opened(tmp_path, observations=None, rewards=np.ones(3))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_discrete_actions_are_refused(tmp_path, dtype):
    with pytest.raises(DataError, match=r"'actions' must be floats in this layout, got .*from_arrays"):
        opened(tmp_path, actions=np.ones((ROWS, 1), dtype))
    assert opened(tmp_path, actions=np.ones((ROWS, 1), np.float16), rewards=np.ones(ROWS, dtype))


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_rows_without_action_and_reward(piece, shape):
    actions = np.array([[0, 0], [0, -1], [0, 0], [1, 0], [0, 0]])
    rewards = np.array([0, 0, -1, 1, 0]).reshape(shape)
    found = idle_rows({"actions": actions, "rewards": rewards}, piece)
    assert found.tolist() == [True, False, False, False, True]
