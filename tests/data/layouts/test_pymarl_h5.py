"""ICQ's SMAC files; what padded episodes mean is tested in ``test_padded``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, padded
from omiga_torchrl.data.layouts.pymarl_h5 import PymarlH5Layout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import assert_survives_damage, h5py, read_all, write_h5
from .test_padded import make_padded, read_fast, read_slowly

LAYOUT = PymarlH5Layout()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cases=st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=6),
    small=st.booleans(),
    chunks=st.sampled_from([{}, {"compression": "gzip"}]),
)
def test_any_episode_structure(tmp_path, cases, small, chunks):
    lengths, terminates = (list(x) for x in zip(*cases, strict=True))
    arrays = make_padded(lengths, terminates)
    path = write_h5(tmp_path / "3m.h5", arrays, **chunks)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(padded, "BLOCK_BYTES", 1)
        reading = LAYOUT.read(path, ReadOptions())
        blocks = list(reading.blocks)
    assert len(blocks) == (len(lengths) if small else 1)
    assert [one for block in blocks for one in read_fast(block)] == read_slowly(arrays)
    assert reading.steps == sum(lengths) and reading.n_actions == 4 and reading.actions is None


def test_converted_to_a_dataset(tmp_path):
    arrays = make_padded([3, 1], [True, False])
    path = write_h5(tmp_path / "3m.h5", arrays)
    convert(LAYOUT.read(path, ReadOptions()), tmp_path / "out", ReadOptions(), name="toy")
    data = load_ted(tmp_path / "out")
    assert data["agents", "action"].tolist() == [
        *arrays["actions"][0, :3, :, 0].tolist(), *arrays["actions"][1, :1, :, 0].tolist()
    ]  # fmt: skip
    np.testing.assert_array_equal(data["state"][3], arrays["state"][1, 0])
    np.testing.assert_array_equal(data["next", "state"][3], arrays["state"][1, 1])
    np.testing.assert_array_equal(
        data["next", "agents", "action_mask"][2], arrays["avail_actions"][0, 3] == 1
    )
    assert data["next", "terminated"].flatten().tolist() == [False, False, True, False]
    assert data["next", "truncated"].flatten().tolist() == [False, False, False, True]


def test_all_findings_at_once(tmp_path):
    arrays = make_padded([2, 3], [True, False])
    del arrays["obs"], arrays["state"]
    with pytest.raises(DataError, match=r"3m\.h5: 'obs' is missing; 'state' is missing\. Expected"):
        LAYOUT.read(write_h5(tmp_path / "3m.h5", arrays), ReadOptions())
    arrays = make_padded([2, 3], [True, False])
    arrays["state"], arrays["reward"] = arrays["state"][:1], arrays["reward"][:, 0]
    with pytest.raises(DataError, match=r"3m\.h5: 'reward' has shape \(2, 1\).*; 'state' has shape"):
        LAYOUT.read(write_h5(tmp_path / "3m.h5", arrays), ReadOptions())


def test_files_that_are_not_of_this_layout(tmp_path):
    arrays = make_padded([3], [True])
    whole = write_h5(tmp_path / "a.h5", arrays)
    other = write_h5(tmp_path / "b.h5", {"obs": arrays["obs"]})
    cut = tmp_path / "c.h5"
    cut.write_bytes(whole.read_bytes()[:-100])
    assert LAYOUT.matches(whole)
    assert not any(map(LAYOUT.matches, (other, cut, tmp_path, tmp_path / "missing")))
    with pytest.raises(DataError, match=r"c\.h5 cannot be read"):
        LAYOUT.read(cut, ReadOptions())


def test_damaged_files_are_refused_or_sound(tmp_path):
    path = write_h5(tmp_path / "a.h5", make_padded([3, 20, 5], [True, False, True]))
    assert_survives_damage(LAYOUT, path)


def test_the_file_is_closed_behind_the_last_block(tmp_path):
    path = write_h5(tmp_path / "a.h5", make_padded([3, 2], [True, False]))
    read_all(LAYOUT, path)
    LAYOUT.read(path, ReadOptions())
    with h5py.File(path, "a") as file:  # fails while it is open elsewhere
        assert len(file) == 8
