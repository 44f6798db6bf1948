"""Memory-mapped TensorDicts in TorchRL's TED layout: written by appending, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from tensordict import MemoryMappedTensor, TensorDict, TensorDictBase

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.errors import DataError

_Path = tuple[str, ...]

# Larger pieces, such as the rows of a long episode, are not copied on the way to the file.
_BUFFER_BYTES = 2**17


@dataclass
class TedWriter:
    """Appends whole episodes to the files of a memory-mapped TensorDict in TorchRL's TED layout.

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

    def append(self, block: Episodes) -> None:
        """Write all transitions of ``block``."""
        rows = {key: storable(values) for key, values in row_entries(block)}
        steps = {key: storable(values) for key, values in self._step_entries(block)}
        given = {*rows, *steps, *(("next", *key) for key in rows)}
        if self.rows and given != self._files.keys():
            differing = sorted("/".join(key) for key in given ^ self._files.keys())
            raise DataError(
                f"OfflineDataset: {', '.join(map(repr, differing))} are in some parts of the data only. Is "
                "one of the files of another task?"
            )
        for key, values in rows.items():
            self.write_rows(key, values, block)
        for key, values in steps.items():
            self._write(key, values)
        self.rows += block.steps
        self.episodes += len(block)

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
        """Append an entry with one row more per episode than steps, at this step and the next.

        Args:
            key: the entry.
            values: `[R, ...]`.
            block: says where its episodes end.
        """
        values, ends = storable(values), np.cumsum(block.length + 1)
        # Slices of the block, one per episode: nothing is copied on the way to the file.
        for first, last in zip((ends - block.length - 1).tolist(), ends.tolist(), strict=True):
            self._write(key, values[first : last - 1])
            self._write(("next", *key), values[first + 1 : last])

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
        self._files[key] = open(path, "ab")  # noqa: SIM115
        self._kinds[key] = like[:0].numpy().dtype, tuple(like.shape[1:])

    def _path(self, key: _Path) -> Path:
        path = self.folder.joinpath(*key[:-1], f"{key[-1]}.memmap")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write(self, key: _Path, values: Array) -> None:
        if key not in self._files:
            self._files[key] = open(self._path(key), "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115
            self._kinds[key] = values.dtype, values.shape[1:]
        if (values.dtype, values.shape[1:]) != self._kinds[key]:
            raise DataError(
                f"OfflineDataset: {'/'.join(key)!r} changes from {self._kinds[key]} to "
                f"{(values.dtype, values.shape[1:])} within the data. Is one of the files of another task?"
            )
        self._files[key].write(values.data)

    def close(self) -> None:
        """Write the TensorDict's own description; the folder can be loaded from then on."""
        nested: dict[str, Any] = {}
        for key, file in self._files.items():
            file.close()
            dtype, shape = self._kinds[key]
            leaf = MemoryMappedTensor.from_filename(
                file.name,
                dtype=torch.from_numpy(np.empty(0, dtype)).dtype,
                shape=torch.Size((self.rows, *shape)),
            )
            inner = nested
            for part in key[:-1]:
                inner = inner.setdefault(part, {})
            inner[key[-1]] = leaf
        _nest(nested, (self.rows,)).memmap_(str(self.folder))

    def abandon(self) -> None:
        """Close the files without describing them."""
        for file in self._files.values():
            try:
                file.close()
            except OSError:  # the buffer cannot be flushed to a full disk either
                continue


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


def row_bytes(block: Episodes) -> int:
    """Bytes on disk of one transition of ``block``."""
    per_row = sum(2 * storable(rows[:1]).nbytes for _, rows in row_entries(block))
    actions = sum(storable(group.action[:1]).nbytes for group in block.groups.values())
    own = sum(4 * group.n_agents for group in block.groups.values() if group.reward is not None)
    return per_row + actions + own + 8 + 4 + 3


def load_ted(folder: Path) -> TensorDictBase:
    """The transitions in ``folder``, memory-mapped `[T]`; not yet locked.

    Where no state is stored, it is the observations of all agents in a row: of a team of one group a view
    of the same memory. Teams of several groups always have it stored.
    """
    data = TensorDict.load_memmap(folder).unlock_()
    for part in (data, data["next"]):
        if part.get(keys.STATE, None) is None:
            (group,) = group_names(data)
            part.set(keys.STATE, part[group, "observation"].flatten(1))
    return data
