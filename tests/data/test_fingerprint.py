"""The fingerprint follows the content, not names, times or layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.data import LAYOUTS, OfflineDataset
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.fingerprint import content_fingerprint


@pytest.fixture(scope="module")
def episodes(tmp_path_factory) -> Episodes:
    root = tmp_path_factory.mktemp("cache")
    blocks = list(OfflineDataset("vmas/navigation/mixed", root=root).blocks())
    return Episodes.concatenate(blocks).part(0, 6)


def written(folder: Path, episodes: Episodes, layout: str = "omiga-mujoco") -> Path:
    folder.mkdir(parents=True)
    LAYOUTS[layout].write(folder / "data.hdf5", [episodes])
    return folder / "data.hdf5"


def test_files_of_one_name_differ_by_content(tmp_path: Path, episodes: Episodes) -> None:
    names = ("a", "copy", "b")
    parts = (episodes.part(0, 3), episodes.part(0, 3), episodes.part(3, 6))
    found = [
        content_fingerprint(OfflineDataset(written(tmp_path / name, part), root=tmp_path / "cache"))
        for name, part in zip(names, parts, strict=True)
    ]
    assert found[0] == found[1] != found[2] and len(found[0]) == 64


def test_one_reward_changes_it_though_the_size_stays(tmp_path: Path, episodes: Episodes) -> None:
    dataset = OfflineDataset(written(tmp_path / "a", episodes), root=tmp_path / "cache")
    before = content_fingerprint(dataset)
    file = dataset.data_path / "next" / "reward.memmap"
    values = np.fromfile(file, dtype=np.float32)
    other = values.copy()
    other[3] += 1
    other.tofile(file)
    assert content_fingerprint(dataset) != before
    values.tofile(file)
    assert content_fingerprint(dataset) == before


def test_a_damaged_note_is_computed_again(tmp_path: Path, episodes: Episodes) -> None:
    dataset = OfflineDataset(written(tmp_path / "a", episodes), root=tmp_path / "cache")
    before = content_fingerprint(dataset)
    (dataset.data_path / "fingerprint.json").write_text("[1")
    assert content_fingerprint(dataset) == before
