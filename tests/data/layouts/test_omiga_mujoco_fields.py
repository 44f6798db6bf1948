"""The fields of OMIGA's MuJoCo files: their sizes, and whether the state is the observations."""

from __future__ import annotations

import re

import numpy as np
import pytest

from omiga_torchrl.data.layouts import omiga_mujoco_fields
from omiga_torchrl.data.layouts.omiga_mujoco_fields import Comparison, open_fields, same_rows
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import h5py, write_h5

SHAPES = {"s": (4, 2, 5), "o": (4, 2, 3), "a": (4, 2, 1), "r": (4, 1), "d": (4, 1)}


@pytest.fixture
def opened(tmp_path):
    files = []

    def open_arrays(arrays):
        files.append(h5py.File(write_h5(tmp_path / f"{len(files)}.hdf5", arrays)))
        return open_fields(files[-1], tmp_path / "a.hdf5")

    yield open_arrays
    for file in files:
        file.close()


def make(**shapes):
    return {name: np.ones(shape) for name, shape in {**SHAPES, **shapes}.items()}


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"s": (4, 9)},
        {"r": (4,), "d": (4,)},
        {"r": (4, 2), "d": (4, 1, 1)},
        {"r": (4, 2, 1)},
        {"r": (4, 1, 1)},
        {"agent_mask": (4, 2)},
    ],
)
def test_fields_that_fit(opened, shapes):
    found = opened(make(**shapes))
    assert list(found) == list({**SHAPES, **shapes})
    assert {name: field.shape for name, field in found.items()} == {**SHAPES, **shapes}


def test_types_of_fields(opened):
    flags = {"d": np.zeros((4, 1), bool), "agent_mask": np.ones((4, 2), np.uint8)}
    assert opened(make() | flags)["d"].dtype == bool
    for name in ("s", "o", "a", "r"):
        with pytest.raises(DataError, match=f"a.hdf5: '{name}' has type int64, expected floats"):
            opened(make() | {name: np.ones(SHAPES[name], np.int64)})


@pytest.mark.parametrize(
    ("name", "shape", "problem"),
    [
        ("s", (4,), "expected 3 dimensions, none 0"),
        ("s", (4, 2, 5, 1), "expected 3 dimensions, none 0"),
        ("s", (5, 9), "'o' has (4, 2, 3)"),
        ("s", (4, 3, 5), "'o' has (4, 2, 3)"),
        ("o", (4, 2), "expected 3 dimensions, none 0"),
        ("o", (4, 2, 0), "expected 3 dimensions, none 0"),
        ("a", (4, 2), "expected 3 dimensions, none 0"),
        ("a", (4, 3, 1), "'o' has (4, 2, 3)"),
        ("a", (3, 2, 1), "'o' has (4, 2, 3)"),
        ("r", (3, 1), "'o' has (4, 2, 3)"),
        ("r", (4, 3), "expected one reward per row, or one per agent"),
        ("r", (4, 2, 2), "expected one reward per row, or one per agent"),
        ("r", (4, 1, 1, 1), "expected 3 dimensions, none 0"),
        ("d", (5, 1), "'o' has (4, 2, 3)"),
        ("d", (4, 2), "expected one flag per row"),
        ("agent_mask", (4, 3), "'o' has (4, 2, 3)"),
        ("agent_mask", (4, 2, 1), "expected 2 dimensions, none 0"),
    ],
)
def test_fields_that_do_not_fit(opened, name, shape, problem):
    told = re.escape(f"{name!r} has shape {shape}, {problem}")
    with pytest.raises(DataError, match=f"OfflineDataset: .*a.hdf5: {told}. Expected the fields s, o, a"):
        opened(make(**{name: shape}))


def test_everything_is_told_at_once(opened):
    arrays = make(o=(4, 2), d=(4, 3))
    del arrays["a"]
    with pytest.raises(DataError, match=r"'a' is missing; 'o' has shape .* dimensions.*; 'd' .* one flag"):
        opened(arrays)


def differing(opened, row, *, rows=40, dtype=np.float32):
    """Fields of which ``s`` differs from ``o`` in one number of a row; in none if it is ``None``."""
    o = np.random.default_rng(0).normal(size=(rows, 2, 3)).astype(dtype)
    s = o.copy()
    if row is not None:
        s[row, 1, 2] += 1
    shapes = {name: (rows, *SHAPES[name][1:]) for name in ("a", "r", "d")}
    return opened({"s": s, "o": o, **{name: np.ones(shape) for name, shape in shapes.items()}}), o


def test_the_state_is_the_observations_or_not(opened):
    assert same_rows(differing(opened, None)[0])
    for row in (0, 17, 39):
        assert not same_rows(differing(opened, row)[0])
    fields, _ = differing(opened, None)
    wide = opened({**make(o=(4, 2, 3), s=(4, 2, 5))})
    assert not same_rows(wide) and not same_rows({"s": wide["s"], "o": fields["o"]})
    single = opened({**make(), "s": np.ones((4, 2, 3), np.float32), "o": np.ones((4, 2, 3))})
    assert not same_rows(single)
    none = np.full((4, 2, 3), np.nan)
    assert same_rows(opened({**make(), "s": none, "o": none}))


def test_a_large_file_is_compared_in_many_places(opened, monkeypatch):
    """Three places of four rows in 40: those from 0, 18 and 36 on."""
    monkeypatch.setattr(omiga_mujoco_fields, "_SAMPLE_ROWS", 4)
    monkeypatch.setattr(omiga_mujoco_fields, "_SAMPLE_PLACES", 3)
    found = [row for row in range(40) if not same_rows(differing(opened, row)[0])]
    assert found == [*range(4), *range(18, 22), *range(36, 40)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("size", [1, 40, 2**20])
def test_all_rows_are_held_to_the_state(opened, monkeypatch, dtype, size):
    monkeypatch.setattr(omiga_mujoco_fields, "PIECE_BYTES", size)
    fields, o = differing(opened, 11, rows=20, dtype=dtype)
    compare = Comparison(fields["s"])
    compare(o[:11], 0)
    compare(o[12:], 12)
    compare(o[3:3], 3)
    for first, last in ((0, 20), (9, 12), (11, 12)):
        with pytest.raises(DataError, match=r"'s' equals 'o' in many rows, but not in row 11. Is the file"):
            compare(o[first:last], first)
    with pytest.raises(DataError, match="not in row 4"):
        compare(o[5:8], 4)


def test_numbers_that_mean_the_same_are_the_same(opened):
    s = np.array([[[0.0, np.nan]], [[1.0, 2.0]]])
    fields = opened({**make(o=(2, 1, 2), a=(2, 1, 1), r=(2, 1), d=(2, 1)), "s": s})
    Comparison(fields["s"])(np.array([[[-0.0, np.nan]], [[1.0, 2.0]]]), 0)
