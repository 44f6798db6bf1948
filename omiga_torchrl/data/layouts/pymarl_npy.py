"""PyMARL's padded episodes as a folder of ``.npy`` files, one per field."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import Layout, Reading, ReadOptions, block_spans
from omiga_torchrl.data.layouts.guards import new_folder, require_plain
from omiga_torchrl.data.layouts.npy import NpyFile, to_single
from omiga_torchrl.data.layouts.padded import read_padded
from omiga_torchrl.data.layouts.padded_fields import PADDED_FIELDS, Readable
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError

# Of a field with one row per step where observations have one more.
_OF_STEPS: Final = ("actions", "filled", "reward", "terminated")


@register_layout("pymarl-npy", priority=30)
class PymarlNpyLayout(Layout):
    """A folder with ``obs.npy``, ``state.npy``, ``actions.npy`` and so on `[E, T1, ...]`.

    The fields are those of PyMARL's episode batches, see
    :func:`~omiga_torchrl.data.layouts.padded.padded_to_episodes`. Actions, rewards, ends and
    ``filled`` may also have one row less per episode than the observations.
    """

    summary: ClassVar[str] = "PyMARL's padded episodes: folder with obs.npy, state.npy, actions.npy, ..."

    def matches(self, path: Path) -> bool:
        """Whether there are the fields that no other layout has."""
        try:
            return all((path / f"{name}.npy").is_file() for name in ("obs", "actions", "avail_actions"))
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the fields, then stream them.

        Raises:
            DataError: fields are missing, damaged, or of wrong types or sizes.
        """
        found = [name for name in PADDED_FIELDS if (path / f"{name}.npy").is_file()]
        files = {name: NpyFile.open(path / f"{name}.npy") for name in found}
        return read_padded(dict(_same_rows(files)), f"OfflineDataset: {path}", options)

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: int | None = None) -> None:
        """Write episodes as padded ``.npy`` files.

        Reading them gives the same episodes, with floats in single precision, but for what the
        fields have no room for: no mask becomes one that allows everything, no state becomes the
        observations of all agents in a row, and an end that is both a termination and a time-out
        is a termination. All episodes take as much room as the longest.

        Args:
            path: the folder.
            blocks: whole episodes with discrete actions, e.g. of
                :func:`omiga_torchrl.data.blocks.episode_blocks`.
            n_actions: number of actions K, needed where episodes have no mask.

        Raises:
            FileExistsError: there is something at ``path``.
            DataError: actions are continuous, there is no transition, or sizes change.

        Examples:
            >>> import tempfile
            >>> ends = np.array([False, True])
            >>> episode = Episodes(
            ...     np.zeros((3, 2, 4)), np.zeros((2, 2), int), np.ones(2), ends, ~ends & False, np.array([2])
            ... )
            >>> path = Path(tempfile.mkdtemp()) / "toy"
            >>> layout = PymarlNpyLayout()
            >>> layout.write(path, [episode], n_actions=3)
            >>> layout.read(path, ReadOptions()).steps
            2
        """
        with new_folder(path) as folder:
            rows = folder / "rows"
            rows.mkdir()
            spool = _Spool(rows)
            for block in blocks:
                spool.append(_to_fields(block, n_actions), block.length)
            if not spool.lengths:
                raise DataError(
                    f"PymarlNpyLayout: nothing to write to {path}; expected at least one episode."
                )
            for name in spool.kinds:
                _write_padded(folder / f"{name}.npy", spool, name)
            shutil.rmtree(rows)


@dataclass(frozen=True)
class _OneRowMore:
    """A field with one row per step, with a last row behind the steps of every episode."""

    file: NpyFile
    is_filled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.file.shape[0], self.file.shape[1] + 1, *self.file.shape[2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.file.dtype

    def __getitem__(self, index: slice) -> Array:
        values = self.file[index]
        # What was seen after the last step is there: an observation more than steps is filled.
        parts = [values[:, :1], values] if self.is_filled else [values, np.zeros_like(values[:, :1])]
        return np.concatenate(parts, 1)


def _same_rows(files: dict[str, NpyFile]) -> Iterator[tuple[str, Readable]]:
    rows = files["obs"].shape[1:2] if "obs" in files else ()
    for name, file in files.items():
        fewer = name in _OF_STEPS and rows and file.shape[1:2] == (rows[0] - 1,) and rows[0] > 1
        yield name, _OneRowMore(file, name == "filled") if fewer else file


@dataclass
class _Spool:
    """Rows of all fields in files of their own, until it is known how far to pad."""

    folder: Path
    kinds: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = field(default_factory=dict)
    lengths: list[Array] = field(default_factory=list)

    def append(self, fields: dict[str, Array], length: Array) -> None:
        for name, values in fields.items():
            self.kinds.setdefault(name, (values.dtype, values.shape[1:]))
            if (values.dtype, values.shape[1:]) != self.kinds[name]:
                raise DataError(
                    f"PymarlNpyLayout: {name!r} changes from {self.kinds[name]} to "
                    f"{(values.dtype, values.shape[1:])}; expected one task in a folder."
                )
            with (self.folder / name).open("ab") as file:
                file.write(np.ascontiguousarray(values).data)
        self.lengths.append(length)


def _to_fields(block: Episodes, n_actions: int | None) -> dict[str, Array]:
    """PyMARL's fields with one row per observation `[R, ...]`; zeros behind the last step."""
    require_plain("PymarlNpyLayout", block, has_presence=True)
    if block.action.dtype.kind == "f":
        raise DataError("PymarlNpyLayout: actions are continuous; PyMARL's fields hold discrete ones only.")
    mask = block.action_mask
    if mask is None:
        if n_actions is None:
            raise DataError("PymarlNpyLayout: episodes have no action mask; pass n_actions=.")
        mask = np.ones((*block.observation.shape[:2], n_actions), bool)
    state = block.observation.reshape(len(mask), -1) if block.state is None else block.state
    step = np.ones(len(mask), bool)
    step[np.cumsum(block.length + 1) - 1] = False

    def rows(values: Array, dtype: Any) -> Array:
        out = np.zeros((len(mask), *values.shape[1:], 1), dtype)
        out[step, ..., 0] = values
        return out

    presence = {} if block.agent_mask is None else {"agent_mask": block.agent_mask.astype(np.uint8)}
    return presence | {
        "actions": rows(block.action, np.int64),
        "avail_actions": mask.astype(np.int32),
        "filled": np.ones((len(mask), 1), np.int64),
        "obs": to_single(block.observation),
        "reward": rows(block.reward, np.float32),
        "state": to_single(state),
        "terminated": rows(block.terminated, np.uint8),
    }


def _write_padded(path: Path, spool: _Spool, name: str) -> None:
    """One field `[E, T1, ...]`: every episode's rows, then zeros."""
    dtype, shape = spool.kinds[name]
    rows = np.concatenate(spool.lengths) + 1
    longest, values = int(rows.max()), int(np.prod(shape))
    with path.open("wb") as file, (spool.folder / name).open("rb") as source:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (len(rows), longest, *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        # Padding takes room too, so every episode counts as one of the longest.
        whole = np.full(len(rows), longest)
        for first, last in block_spans(whole, values * dtype.itemsize, BLOCK_BYTES):
            part = rows[first:last]
            out = np.zeros((last - first, longest, *shape), dtype)
            flat = np.fromfile(source, dtype, int(part.sum()) * values)
            out[np.arange(longest) < part[:, None]] = flat.reshape(-1, *shape)
            file.write(out.data)
