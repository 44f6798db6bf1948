"""The files of OMAR's folders: which are read, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import omar_files
from omiga_torchrl.data.layouts.omar_files import find_seeds, is_seed, one_seed, open_seed, rows_at_once
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_files import make_omar, write_npys

ARRAYS = make_omar([3, 2], agents=3, sizes=(4, 2), states="own")
PLAIN = {name: values for name, values in ARRAYS.items() if "states" not in name}


def opened(folder, arrays=PLAIN, **options):
    return open_seed(write_npys(folder, arrays), ReadOptions(**options))


def test_folders_of_seeds(tmp_path):
    for number in (1, 0):
        write_npys(tmp_path / f"seed_{number}_data", make_omar([2]))
    for name in ("obs_0", "acs_0", "next_obs_0"):
        folder = write_npys(tmp_path / f"seed_{name}_data", make_omar([2]))
        assert is_seed(folder)
        (folder / f"{name}.npy").unlink()
        assert not is_seed(folder)
    write_npys(tmp_path / "other_data", make_omar([2]))
    both = [tmp_path / "seed_0_data", tmp_path / "seed_1_data"]
    assert find_seeds(tmp_path) == both and find_seeds(both[0]) == []
    assert find_seeds(both[0] / "obs_0.npy") == []
    with pytest.raises(
        DataError, match=r"data of 2 seeds \(seed_0_data, seed_1_data\); .* Pass .*seed_0_data"
    ):
        one_seed(tmp_path)
    with pytest.raises(DataError, match=r"data of 0 seeds \(\); expected one"):
        one_seed(tmp_path / "nowhere")
    (both[0] / "acs_0.npy").unlink()
    assert one_seed(tmp_path) == one_seed(both[1]) == both[1]
    assert one_seed(both[0]) == both[0]  # what is missing is told when it is opened


def test_rows_of_all_or_of_some_agents(tmp_path):
    files = opened(tmp_path / "a")
    assert files.where == f"OfflineDataset: {tmp_path / 'a'}" and files.rows == 5
    assert files.groups == {"agents": [0, 1, 2]} and "states" not in files.files
    assert files.row_bytes == 3 * 8 * (4 + 2 + 1 + 4 + 1)
    found = files.read("obs", 1, 4)
    expected = np.stack([PLAIN[f"obs_{i}"] for i in range(3)], 1)
    np.testing.assert_array_equal(found, expected[1:4].astype(np.float32), strict=True)
    np.testing.assert_array_equal(files.read("obs", 0, 5, [2, 0]), expected[:, [2, 0]].astype(np.float32))
    for name in ("rews", "dones"):
        expected = np.stack([PLAIN[f"{name}_{i}"] for i in range(3)], 1).astype(np.float32)
        np.testing.assert_array_equal(files.read(name, 2, 5), expected[2:], strict=True)


def test_columns_of_one_feature_are_flat(tmp_path):
    wide = {name: a[:, None] if name[:4] in ("rews", "done") else a for name, a in PLAIN.items()}
    files = opened(tmp_path / "a", wide)
    assert files.read("rews", 0, 5).shape == files.read("dones", 0, 5).shape == (5, 3)


def test_states_that_are_the_same_are_read_once(tmp_path, monkeypatch):
    same = make_omar([3, 2], agents=3, states="same")
    monkeypatch.setattr(omar_files, "BLOCK_BYTES", 1)  # a row at a time
    files = opened(tmp_path / "a", same)
    assert [len(files.files[name]) for name in ("states", "next_states", "obs")] == [1, 1, 3]
    assert files.read("states", 0, 5).shape == (5, 1, 4)
    for number, (agent, row) in enumerate(((2, 4), (1, 4), (2, 0))):
        other = same | {f"states_{agent}": same[f"states_{agent}"] + (np.arange(5) == row)[:, None]}
        assert len(opened(tmp_path / f"other_{number}", other).files["states"]) == 3
    del same["states_0"]
    assert "states" not in opened(tmp_path / "c", same).files


def test_rows_that_are_read_at_a_time(tmp_path, monkeypatch):
    files = opened(tmp_path / "a").files
    for size, rows in ((288, 1), (575, 1), (576, 2), (100, 1)):
        monkeypatch.setattr(omar_files, "BLOCK_BYTES", size)
        assert rows_at_once(files) == rows


def test_groups_have_their_own_numbers(tmp_path):
    files = opened(tmp_path / "a", groups={"prey": [2], "predators": [0]})
    assert files.groups == {"prey": [0], "predators": [1]}
    np.testing.assert_array_equal(files.read("rews", 0, 5)[:, 0], PLAIN["rews_2"].astype(np.float32))
    other = PLAIN | {f"{name}_2": PLAIN[f"{name}_2"][:, :3] for name in ("obs", "next_obs")}
    files = opened(tmp_path / "b", other, groups="all")
    assert files.groups == {"group_0": [0, 1], "group_1": [2]}
    assert files.read("next_obs", 0, 5, [2]).shape == (5, 1, 3)
    files = opened(tmp_path / "c", PLAIN | {"acs_1": PLAIN["acs_1"][:, :1]}, groups="all")
    assert files.groups == {"group_0": [0, 1], "group_1": [2]} and files.read("acs", 0, 5, [2]).shape == (
        5,
        1,
        1,
    )


@pytest.mark.parametrize("name", ["obs_1", "acs_2", "rews_0", "next_obs_2", "dones_2"])
def test_files_that_are_missing(tmp_path, name):
    arrays = {one: values for one, values in ARRAYS.items() if one != name}
    with pytest.raises(DataError, match=rf"a: {name}.npy is missing\."):
        opened(tmp_path / "a", arrays)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("obs_1", lambda a: a[:-1], "(5, 'F')"),
        ("next_obs_0", lambda a: a[:, :-1], "(5, 'F')"),
        ("next_obs_2", lambda a: a[:-1], "(5, 'F')"),
        ("acs_0", lambda a: a[:-1], "(5, 'F')"),
        ("rews_1", lambda a: a[:-1], "(5,)"),
        ("rews_0", lambda a: np.stack([a, a], 1), "(5,)"),
        ("dones_2", lambda a: a[:, None, None], "(5,)"),
        ("states_2", lambda a: a[:, :-1], "(5, 'F')"),
        ("next_states_0", lambda a: a[:, 1:], "(5, 'F')"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, change, expected):
    wrong = change(ARRAYS[name])
    with pytest.raises(DataError) as error:
        opened(tmp_path / "a", ARRAYS | {name: wrong})
    assert f"a: {name}.npy has shape {wrong.shape}, expected {expected}." in str(error.value)


def test_observations_of_more_dimensions_and_of_no_rows(tmp_path):
    deep = PLAIN | {name: a[..., None] for name, a in PLAIN.items() if "obs" in name}
    with pytest.raises(DataError, match=r"obs_0.npy has shape \(5, 4, 1\), expected \(5, 'F'\); next_obs_0"):
        opened(tmp_path / "a", deep)
    with pytest.raises(DataError, match=r"obs_0.npy is empty; obs_1.npy is empty; obs_2.npy is empty"):
        opened(tmp_path / "b", {name: a[:0] for name, a in PLAIN.items()})
