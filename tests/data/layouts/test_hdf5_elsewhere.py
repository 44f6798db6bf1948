"""HDF5 files that take their values from other files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.errors import DataError

h5py = pytest.importorskip("h5py")


def write(path: Path, rewards: str) -> None:
    secret = path.with_name("secret.bin")
    secret.write_bytes(np.arange(6.0, dtype="f4").tobytes())
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["rewards"] = np.arange(6.0, dtype="f4")
    with h5py.File(path, "w") as file:
        file["observations"], file["actions"] = np.ones((6, 2), "f4"), np.zeros((6, 1), "f4")
        file["terminals"], file["timeouts"] = np.arange(6) == 5, np.zeros(6, bool)
        if rewards == "external storage":
            file.create_dataset("rewards", (6,), "f4", external=[(str(secret), 0, 24)])
        elif rewards == "external link":
            file["rewards"] = h5py.ExternalLink("other.h5", "/rewards")
        elif rewards == "virtual":
            layout = h5py.VirtualLayout((6,), "f4")
            layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "rewards", (6,))
            file.create_virtual_dataset("rewards", layout)
        else:
            file["rewards"] = np.arange(6.0, dtype="f4")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("external storage", "lies in other files"),
        ("virtual", "lies in other files"),
        ("external link", "links to other files"),
    ],
)
def test_values_of_other_files_are_refused(kind: str, words: str, tmp_path: Path) -> None:
    write(tmp_path / "a.hdf5", kind)
    with pytest.raises(DataError, match=words):
        OfflineDataset(tmp_path / "a.hdf5", layout="d4rl", root=tmp_path / "cache")


def test_values_of_the_file_itself_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.hdf5", "own")
    dataset = OfflineDataset(tmp_path / "a.hdf5", layout="d4rl", root=tmp_path / "cache", reward_scale=None)
    assert dataset.card.behaviour_return["mean"] == 15.0
