"""Memory-mapped TensorDicts in TorchRL's TED layout, every observation once: written by appending."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch
from tensordict import MemoryMappedTensor, TensorDict, TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.errors import DataError

_Path = tuple[str, ...]

# Larger pieces, such as the rows of a long episode, are not copied on the way to the file.
_BUFFER_BYTES = 2**17
# Of the file of episodes' last rows, until it goes to the end of the entry's.
_LAST = "last"
# The entry that numbers the row after each step.
FOLLOWING: Final = "following"


@dataclass
class TedWriter:
    """Appends whole episodes to the files of a memory-mapped TensorDict in TorchRL's TED layout.

    Entries with one row more per episode than steps, such as observations, are one file each, which holds the
    rows of all T steps and then the last ones of all E episodes `[T + E, ...]`: what follows a step is the
    next row, or its episode's last one, which the entry ``"following"`` says, and is not written again.

    Files are written, not mapped: what is written does not count as this process's memory,
    and a full disk is an error instead of a crash.

    Attributes:
        folder: an empty folder.
        rows: transitions written so far.
        episodes: episodes written so far.
    """

    folder: Path
    rows: int = 0
    episodes: int = 0
    _files: dict[_Path, IO[bytes]] = field(default_factory=dict)
    _kinds: dict[_Path, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)
    _lengths: list[Array] = field(default_factory=list)

    def append(self, block: Episodes) -> None:
        """Write all transitions of ``block``."""
        rows = {key: storable(values) for key, values in row_entries(block)}
        steps = {key: storable(values) for key, values in self._step_entries(block)}
        given = {*rows, *steps}
        if self.rows and given != self._kinds.keys():
            differing = sorted("/".join(key) for key in given ^ self._kinds.keys())
            raise DataError(
                f"OfflineDataset: the entries {differing} are in some parts of the data only. Is one of the "
                "files of another task?"
            )
        for key, values in rows.items():
            self.write_rows(key, values, block)
        for key, values in steps.items():
            self._write(key, values)
        self.rows += block.steps
        self.episodes += len(block)
        self._lengths.append(block.length)

    def _step_entries(self, block: Episodes) -> Iterator[tuple[_Path, Array]]:
        """Entries with one row per step, by their keys."""
        yield from (((name, "action"), group.action) for name, group in block.groups.items())
        yield (keys.EPISODE,), np.repeat(np.arange(self.episodes, self.episodes + len(block)), block.length)
        done = block.terminated | block.truncated
        yield ("next", keys.REWARD), block.reward[:, None]
        yield ("next", keys.DONE), done[:, None]
        yield ("next", keys.TERMINATED), block.terminated[:, None]
        yield ("next", keys.TRUNCATED), block.truncated[:, None]
        for name, group in block.groups.items():
            if group.reward is not None:
                yield ("next", name, "reward"), group.reward[..., None]

    def write_rows(self, key: _Path, values: Array, block: Episodes) -> None:
        """Append an entry with one row more per episode than steps.

        Args:
            key: the entry.
            values: `[R, ...]`.
            block: says where its episodes end.
        """
        values, last = storable(values), np.cumsum(block.length + 1) - 1
        # Slices of the block, one per episode: nothing is copied on the way to the file.
        for first, end in zip((last - block.length).tolist(), last.tolist(), strict=True):
            self._write(key, values[first:end])
        self._open((*key, _LAST)).write(values[last].data)

    def write(self, key: _Path, values: Array) -> None:
        """Append rows to one entry only; its rows have to add up to those of the others."""
        self._write(key, storable(values))

    def adopt(self, key: _Path, source: Path, like: torch.Tensor) -> None:
        """Make the entry ``key`` of the file ``source``, which is shared, not copied, where possible."""
        path = self._path(key)
        try:
            os.link(source, path)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, path)
        self._kinds[key] = like[:0].numpy().dtype, tuple(like.shape[1:])

    def _path(self, key: _Path) -> Path:
        path = entry_file(self.folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _open(self, key: _Path) -> IO[bytes]:
        if key not in self._files:
            self._files[key] = open(self._path(key), "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115
        return self._files[key]

    def _write(self, key: _Path, values: Array) -> None:
        given = values.dtype, values.shape[1:]
        kind = self._kinds.setdefault(key, given)
        if given != kind:
            raise DataError(
                f"OfflineDataset: {'/'.join(key)!r} changes from {kind} to {given} within the data. Is one "
                "of the files of another task?"
            )
        self._open(key).write(values.data)

    def close(self) -> None:
        """Write the TensorDict's own description; the folder can be loaded from then on."""
        nested: dict[str, Any] = {}
        self._write_following()
        for key, (dtype, shape) in self._kinds.items():
            self._join(key)
            inner = nested
            for part in key[:-1]:
                inner = inner.setdefault(part, {})
            inner[key[-1]] = _map(self._path(key), dtype, (self.rows, *shape))
        _nest(nested, (self.rows,)).memmap_(str(self.folder))

    def _write_following(self) -> None:
        step, episode = 0, 0
        for length in self._lengths:
            index = np.arange(step + 1, step + 1 + length.sum())
            index[np.cumsum(length) - 1] = self.rows + episode + np.arange(len(length))
            self._write((FOLLOWING,), index)
            step, episode = step + len(index), episode + len(length)

    def _join(self, key: _Path) -> None:
        """Close the file of an entry, with the last rows of the episodes behind those of the steps."""
        for part in (key, (*key, _LAST)):
            if part in self._files:
                self._files[part].close()
        if (*key, _LAST) in self._files:
            last = self._path((*key, _LAST))
            with self._path(key).open("ab") as file, last.open("rb") as rows:
                shutil.copyfileobj(rows, file)
            last.unlink()
            last.parent.rmdir()

    def abandon(self) -> None:
        """Close the files without describing them."""
        for file in self._files.values():
            try:
                file.close()
            except OSError:  # the buffer cannot be flushed to a full disk either
                continue


def entry_file(folder: Path, key: _Path) -> Path:
    """The file of an entry of a conversion.

    Args:
        folder: the conversion.
        key: the entry.
    """
    return folder.joinpath(*key[:-1], f"{key[-1]}.memmap")


def row_entries(block: Episodes) -> Iterator[tuple[_Path, Array]]:
    """Entries with one row more per episode than steps, by their keys.

    Args:
        block: the episodes.
    """
    groups = block.groups
    yield from (((name, "observation"), group.observation) for name, group in groups.items())
    # Observations of one group in a row are a view of the same memory; those of several are not.
    if block.state is not None or len(groups) > 1:
        yield keys.key_path(keys.STATE), block.joint_state()
    for entry in ("action_mask", "agent_mask"):
        for name, group in groups.items():
            if entry in group.arrays():
                yield (name, entry), group.arrays()[entry]


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> MemoryMappedTensor:
    return MemoryMappedTensor.from_filename(
        path, dtype=torch.from_numpy(np.empty(0, dtype)).dtype, shape=torch.Size(shape)
    )


def _nest(nested: dict[str, Any], batch: tuple[int, ...]) -> TensorDictBase:
    # The entries of a group, which are one an agent, are beside its observations.
    agents = nested["observation"].shape[1:2] if "observation" in nested else ()
    content = {
        name: _nest(value, batch) if isinstance(value, dict) else value for name, value in nested.items()
    }
    return TensorDict(content, [*batch, *agents])


def storable(values: Array) -> Array:
    """In the precision that is stored, contiguous."""
    dtype = values.dtype
    if dtype.kind == "f":
        dtype = np.dtype(np.float32)
    elif dtype.kind in "iu":
        dtype = np.dtype(np.int64)
    return np.ascontiguousarray(values, dtype)


def expected_bytes(block: Episodes, steps: int) -> int:
    """Bytes on disk of so many transitions in episodes like those of ``block``."""
    per_row = sum(storable(rows[:1]).nbytes for _, rows in row_entries(block))
    actions = sum(storable(group.action[:1]).nbytes for group in block.groups.values())
    own = sum(4 * group.n_agents for group in block.groups.values() if group.reward is not None)
    last = steps * len(block) // max(1, block.steps)
    return (per_row + actions + own + 2 * 8 + 4 + 3) * steps + per_row * last
