"""Episodes as PyMARL's padded fields, one ``.npy`` file each."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import block_spans
from omiga_torchrl.data.layouts.guards import require_plain
from omiga_torchrl.data.layouts.npy import to_single
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError


def write_padded(folder: Path, blocks: Iterable[Episodes], n_actions: int | None) -> None:
    """Write a file per field `[E, T1, ...]`, padded to the longest episode.

    Args:
        folder: an empty folder.
        blocks: whole episodes with discrete actions.
        n_actions: number of actions K, needed where episodes have no mask.

    Raises:
        DataError: actions are continuous, there is no transition, or sizes change.
    """
    rows = folder / "rows"
    rows.mkdir()
    spool = _Spool(rows)
    for block in blocks:
        spool.append(_to_fields(block, n_actions), block.length)
    if not spool.lengths:
        raise DataError(f"PymarlNpyLayout: nothing to write to {folder}; expected at least one episode.")
    for name in spool.kinds:
        _write_field(folder / f"{name}.npy", spool, name)
    shutil.rmtree(rows)


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


def _write_field(path: Path, spool: _Spool, name: str) -> None:
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
