"""`LayoutTrustContract`: what a layout does with ends of episodes, agents that come and go, and damage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, Layout, OfflineDataset, Reading
from omiga_torchrl.data.ends import KINDS
from omiga_torchrl.errors import DataError

_COPIES: Final = 40


class LayoutTrustContract:
    """Part of :class:`omiga_torchrl.testing.LayoutContract`, which gives what these tests use."""

    name: str
    options: Mapping[str, Any]

    @property
    def layout(self) -> Layout:
        """The layout under test."""
        raise NotImplementedError

    def open(self, path: Path) -> Reading:
        """The open dataset."""
        raise NotImplementedError

    def read(self, path: Path) -> Episodes:
        """All its episodes."""
        raise NotImplementedError

    def dataset(self, path: Path, cache: Path, **kwargs: Any) -> OfflineDataset:
        """The dataset, with rewards as they are in the files."""
        raise NotImplementedError

    def test_ends_are_told(self, path, tmp_path):
        episodes, dataset = self.read(path), self.dataset(path, tmp_path / "cache")
        ends, last = dataset.ends, np.cumsum(episodes.length) - 1
        np.testing.assert_array_equal(ends.length, episodes.length)
        np.testing.assert_array_equal(ends.kind == KINDS.index("terminated"), episodes.terminated[last])
        assert all(rows > 0 for rows in ends.dropped.values())
        assert str(ends).startswith(f"{len(episodes)} episodes, {episodes.steps} steps")
        assert self.dataset(path, tmp_path / "cache").ends == ends  # of the cache

    def test_returns_have_the_rewards_of_steps_that_are_left_out(self, path, tmp_path):
        reading = self.open(path)
        returns = np.concatenate([block.returns() for block in reading.blocks])
        card = self.dataset(path, tmp_path / "cache").card
        whole = reading.left_out.whole_returns(returns)
        np.testing.assert_allclose(card.behaviour_return["mean"], whole.mean(), rtol=1e-5)
        assert card.left_out_steps == reading.left_out.steps

    def test_agents_that_come_and_go_are_written_or_refused(self, path, tmp_path):
        if not self.layout.writable:
            pytest.skip("the layout is only read")
        episodes, copy = self.read(path), tmp_path / "copy" / path.name
        group = next(iter(episodes.groups.values()))
        present = np.arange(group.observation[..., 0].size).reshape(group.observation.shape[:2]) % 3 > 0
        present[:, 0] = True
        group.agent_mask = present
        try:
            self.layout.write(copy, [episodes], n_actions=self.open(path).n_actions)
        except DataError as error:
            assert "come and go" in str(error) and not copy.exists()
            return
        found = self.read(copy)
        again = next(iter(found.groups.values()))
        # What is not seen any more, after a termination, need not be kept.
        np.testing.assert_array_equal(again.agent_mask[found.is_step()], present[episodes.is_step()])

    def test_damaged_files_are_refused_or_sound(self, path):
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        rng = np.random.default_rng(0)
        for number in range(_COPIES):
            file = files[number % len(files)]
            whole = file.read_bytes()
            file.write_bytes(damaged(whole, rng))
            try:
                self.layout.matches(path)
                for block in self.open(path).blocks:
                    assert len(block.joint_state()) == block.steps + len(block)
            except DataError as error:
                assert str(error)
            finally:
                file.write_bytes(whole)

    def test_cut_files_are_refused(self, path):
        """The first half of every file is not a dataset."""
        for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError):
            list(self.open(path).blocks)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A damaged copy: cut, with zeros, or with other bytes.

    Args:
        content: of a file.
        rng: chooses the damage.

    Examples:
        >>> damaged(bytes(range(256)), np.random.default_rng(0)) == bytes(range(256))
        False
    """
    data, kind = bytearray(content), rng.integers(4)
    if len(data) < 2:
        return bytes(data) + b"?"
    start, stop = np.sort(rng.integers(len(data), size=2)).tolist()
    if kind == 0:
        return bytes(data[:stop])
    if kind == 1:
        data[start : min(stop, start + 64)] = bytes(min(stop, start + 64) - start)
    for place in rng.integers(len(data) if kind == 2 else min(len(data), 4096), size=4).tolist():
        data[place] = rng.integers(256)
    return bytes(data)
