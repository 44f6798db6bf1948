"""`LayoutContract`: a file layout, as :func:`omiga_torchrl.data.register_layout` makes it known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omiga_torchrl.data import (
    LAYOUTS,
    AgentArrays,
    Episodes,
    Layout,
    OfflineDataset,
    Reading,
    ReadOptions,
    find_layout,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_trust_contract import LayoutTrustContract


class LayoutContract(LayoutTrustContract):
    """Contract of every layout of datasets.

    Subclasses give ``name``, ``fields`` and ``write_files``. The layout must be registered.

    Attributes:
        name: of the layout.
        fields: names of files or fields that no dataset of the layout lacks.
        options: :class:`omiga_torchrl.data.ReadOptions` that its files need, e.g. ``{"actions": "raw"}``.
    """

    name: str
    fields: tuple[str, ...]
    options: Mapping[str, Any] = {}

    def write_files(self, folder: Path, *, without: str | None = None) -> Path:
        """Write a small dataset of at least two episodes, one of them of two steps or more.

        Args:
            folder: an empty folder.

        Keyword Args:
            without: the one of ``fields`` that is left out.

        Returns:
            What users pass to :class:`omiga_torchrl.data.OfflineDataset`: the file or folder.
        """
        raise NotImplementedError

    def small_blocks(self, patch: pytest.MonkeyPatch) -> None:
        """Make the reader give one episode a block; by default blocks stay as large as they are."""
        pytest.skip("small_blocks is not given")

    @property
    def layout(self) -> Layout:
        """The layout under test."""
        return LAYOUTS[self.name]

    def open(self, path: Path) -> Reading:
        """The open dataset."""
        return self.layout.read(path, ReadOptions(**self.options))

    def read(self, path: Path) -> Episodes:
        """All its episodes."""
        return Episodes.concatenate(list(self.open(path).blocks))

    def dataset(self, path: Path, cache: Path, **kwargs: Any) -> OfflineDataset:
        """The dataset, with rewards as they are in the files."""
        return OfflineDataset(path, root=cache, reward_scale=None, **{**self.options, **kwargs})

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A dataset of the layout."""
        (tmp_path / "data").mkdir()
        return self.write_files(tmp_path / "data")

    def test_its_own_files_are_detected(self, path):
        assert self.layout.matches(path)
        assert find_layout(path).name == self.name

    def test_foreign_files_are_not_detected(self, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "text.txt").write_text("no data")
        (tmp_path / "bytes.h5").write_bytes(bytes(range(256)))
        (tmp_path / "other").mkdir()
        np.save(tmp_path / "other" / "unheard_of.npy", np.zeros(2))
        for name in ("empty", "text.txt", "bytes.h5", "other", "missing"):
            assert not self.layout.matches(tmp_path / name), name

    def test_another_layouts_recording_is_not_detected(self, tmp_path):
        if self.name == "recording":
            pytest.skip("it is its own")
        (tmp_path / "card.json").write_text("{}")
        np.savez(tmp_path / "data.npz", reward=np.zeros(2))
        assert not self.layout.matches(tmp_path)

    def test_episodes_have_the_shapes_and_dtypes_of_a_team(self, path):
        reading = self.open(path)
        episodes = Episodes.concatenate(list(reading.blocks))
        assert reading.steps in (None, episodes.steps) and len(episodes) >= 2 and episodes.length.max() >= 2
        for name, group in episodes.groups.items():
            counts = reading.n_actions
            known = counts.get(name) if isinstance(counts, dict) else counts
            assert_shapes_of_a_group(group, episodes.steps, known)
        assert episodes.reward.shape == (episodes.steps,)
        assert episodes.terminated.dtype == episodes.truncated.dtype == bool

    def test_episodes_end_where_they_end_and_nowhere_else(self, path):
        episodes = self.read(path)
        ended = episodes.terminated | episodes.truncated
        last = np.cumsum(episodes.length) - 1
        assert not (episodes.terminated & episodes.truncated).any()
        assert ended[last].all() and ended.sum() == len(episodes)

    def test_reading_twice_gives_the_same(self, path):
        assert_equal(self.read(path), self.read(path))

    def test_small_blocks_hold_the_same_episodes(self, path, monkeypatch):
        expected = self.read(path)
        self.small_blocks(monkeypatch)
        blocks = list(self.open(path).blocks)
        assert len(blocks) == len(expected)
        assert_equal(Episodes.concatenate(blocks), expected)

    def test_a_dataset_holds_every_step(self, path, tmp_path):
        episodes = self.read(path)
        data = self.dataset(path, tmp_path / "cache").data
        starts = np.cumsum(episodes.length) - episodes.length
        rows = episodes.is_step().nonzero()[0]
        assert len(data) == episodes.steps
        for name, group in episodes.groups.items():
            seen = np.float32(group.observation)
            np.testing.assert_array_equal(data[name, "observation"], seen[rows])
            np.testing.assert_array_equal(data["next", name, "observation"], seen[rows + 1])
        np.testing.assert_array_equal(data["next", "reward"][:, 0], np.float32(episodes.reward))
        np.testing.assert_array_equal(data["is_init"].flatten().nonzero()[:, 0], starts)
        for name in ("terminated", "truncated"):
            np.testing.assert_array_equal(data["next", name][:, 0], getattr(episodes, name))

    def test_sampled_slices_are_rows_of_the_whole(self, path, tmp_path):
        torch.manual_seed(0)
        dataset = self.dataset(path, tmp_path / "cache", slice_len=2, batch_size=64)
        seen = (next(iter(dataset.spec.groups)), "observation")
        whole = dataset.data[seen]
        batch = dataset.sample()
        assert batch.batch_size == (32, 2)
        for slice_, mask in zip(batch, batch["collector", "mask"], strict=True):
            first = (whole == slice_[seen][0]).flatten(1).all(1).nonzero()[0]
            length = int(mask.sum())
            assert torch.equal(slice_[seen][:length], whole[first : first + length])

    def test_a_missing_file_or_field_is_named(self, tmp_path):
        for name in self.fields:
            (tmp_path / name).mkdir()
            path = self.write_files(tmp_path / name, without=name)
            with pytest.raises(DataError, match=name):
                self.open(path)

    def test_reading_leaves_the_source_alone(self, path):
        folder = path if path.is_dir() else path.parent
        before = fingerprint(folder)
        self.read(path)
        assert fingerprint(folder) == before

    def test_what_is_written_is_read_again(self, path, tmp_path):
        self.require_writer()
        reading, copy = self.open(path), tmp_path / "copy" / path.name
        episodes = Episodes.concatenate(list(reading.blocks))
        parts = [episodes.part(i, i + 1) for i in range(len(episodes))]
        self.layout.write(copy, parts, n_actions=reading.n_actions)
        assert self.layout.matches(copy)
        assert_equal(self.read(copy), episodes)
        before = fingerprint(copy.parent)
        with pytest.raises(FileExistsError):
            self.layout.write(copy, parts, n_actions=reading.n_actions)
        assert fingerprint(copy.parent) == before

    def test_writing_is_whole_or_not_at_all(self, path, tmp_path):
        self.require_writer()
        episodes, copy = self.read(path), tmp_path / "copy" / path.name

        def broken() -> Iterator[Episodes]:
            yield episodes
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            self.layout.write(copy, broken(), n_actions=self.open(path).n_actions)
        assert not copy.exists() and not list(copy.parent.iterdir())

    def require_writer(self) -> None:
        """Skip the test for a layout that is only read."""
        if not self.layout.writable:
            pytest.skip("the layout is only read")


def assert_shapes_of_a_group(group: AgentArrays, steps: int, n_actions: int | None) -> None:
    """Raise an AssertionError unless a group's arrays have the shapes and dtypes that they must have.

    Args:
        group: its arrays.
        steps: expected steps T.
        n_actions: the number of discrete actions, if the reader knows it.
    """
    assert group.observation.ndim == 3 and group.observation.dtype.kind == "f"
    is_discrete = group.action.dtype.kind in "iu"
    assert group.action.shape[:2] == (steps, group.n_agents)
    assert group.action.ndim == (2 if is_discrete else 3)
    assert is_discrete or group.action.dtype.kind == "f"
    assert not is_discrete or n_actions is not None or group.action_mask is not None
    for mask in (group.action_mask, group.agent_mask):
        assert mask is None or mask.dtype == bool
    assert group.action_mask is None or group.action_mask.ndim == 3


def assert_equal(found: Episodes, expected: Episodes) -> None:
    """Raise an AssertionError unless both hold the same arrays, bit for bit.

    Args:
        found: what was read.
        expected: what it should be.
    """
    assert found.arrays().keys() == expected.arrays().keys()
    for name, values in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], values, err_msg=name, strict=True)


def fingerprint(folder: Path) -> list[tuple[Path, int, bytes]]:
    """Names, times and contents of all files of a folder.

    Args:
        folder: the folder.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [(file, file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).digest()) for file in files]
