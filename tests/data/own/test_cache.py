"""The cache follows what the data are, not what is said of them."""

from __future__ import annotations

import os
import pickle
import shutil
import weakref

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, cache_root, find_dataset
from omiga_torchrl.errors import DataError

from .helpers import as_flat, as_list, make_episodes

FLAT = as_flat("continuous", make_episodes("continuous", False))


def folders():
    return sorted(path.name for path in (cache_root() / "datasets").iterdir())


def test_arrays_are_converted_once():
    first = OfflineDataset.from_arrays(**FLAT)
    marker = first.data_path / "card.json"
    before = marker.stat().st_mtime_ns
    assert OfflineDataset.from_arrays(**FLAT).data_path == first.data_path
    assert marker.stat().st_mtime_ns == before and len(folders()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"reward": FLAT["reward"] + np.float32(1e-3)},
        {"reward": FLAT["reward"][::-1]},
        {"card": {"task": "vmas/navigation"}},
        {"team": ["a", "b", "c"]},
        {"name": "other"},
        {"agent_reward": np.zeros((10, 3))},
    ],
)
def test_whatever_changes_makes_another(change):
    first = OfflineDataset.from_arrays(**FLAT)
    second = OfflineDataset.from_arrays(**{**FLAT, **change})
    assert second.data_path != first.data_path


def episode_dicts():
    lists = as_list("continuous", make_episodes("continuous", False))
    return [{name: value[i] for name, value in lists.items()} for i in range(4)]


def test_a_stream_is_written_once_and_leaves_nothing_else():
    items = episode_dicts()
    first, second = (OfflineDataset.from_episodes(iter(items)) for _ in range(2))
    assert first.data_path == second.data_path and len(folders()) == 1
    second.delete()
    with pytest.raises(DataError, match=r"the data have been read and their cache is gone"):
        OfflineDataset(first.source)


def test_a_dataset_does_not_hold_what_it_was_made_of():
    arrays = {name: value.copy() for name, value in FLAT.items()}
    held = weakref.ref(arrays["observation"])
    dataset = OfflineDataset.from_arrays(**arrays)
    del arrays
    assert held() is None
    copies = [pickle.loads(pickle.dumps(one)) for one in (dataset, dataset.subset(fraction=0.5))]
    assert len(copies[0]) == 10 and copies[1].card.parts[0]["how"] == "fraction=0.5 seed=0"


def test_a_stream_that_breaks_leaves_nothing():
    def episodes():
        yield {name: value[:3] for name, value in FLAT.items()}
        raise RuntimeError("the simulator died")

    with pytest.raises(RuntimeError, match="died"):
        OfflineDataset.from_episodes(episodes())
    assert folders() == []


def test_an_edited_recording_is_not_the_old_one(tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(find_dataset("vmas/navigation/mixed"), mine)
    OfflineDataset(mine)
    arrays = dict(np.load(mine / "data.npz"))
    np.savez_compressed(mine / "data.npz", **{**arrays, "reward": -arrays["reward"]})
    with pytest.raises(DataError, match=r"its card says .*relabel_rewards\(\)"):
        OfflineDataset(mine)


def test_by_content_a_copy_is_the_same_and_a_change_of_the_same_size_is_not(tmp_path):
    one, two = tmp_path / "one.hdf5", tmp_path / "two.hdf5"
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    with h5py.File(one, "w") as file:
        file["observations"], file["actions"] = rng.normal(size=(6, 2)), rng.uniform(-1, 1, (6, 1))
        file["rewards"], file["terminals"] = np.arange(6.0), np.arange(6) == 5
        file["timeouts"] = np.zeros(6, bool)
    shutil.copy(one, two)
    options = {"by_content": True, "layout": "d4rl"}
    first = OfflineDataset(one, **options)
    times = one.stat().st_atime_ns, one.stat().st_mtime_ns
    with h5py.File(one, "r+") as file:
        file["rewards"][0] = 100.0
    os.utime(one, ns=times)
    # Size and time are the same: only the content tells.
    assert OfflineDataset(one, **options).card.behaviour_return["mean"] == 115.0
    assert first.card.behaviour_return["mean"] == 15.0
    digests = {OfflineDataset(path, **options).source.fingerprint() for path in (one, two)}
    assert len(digests) == 2


def test_a_stream_takes_the_place_of_its_damaged_conversion():
    items = episode_dicts()
    first = OfflineDataset.from_episodes(iter(items))
    path, rewards = first.data_path, first.data["next", "reward"].clone()
    (path / "card.json").write_text("{")
    again = OfflineDataset.from_episodes(iter(items))
    assert again.data_path == path and (again.data["next", "reward"] == rewards).all()
