"""ICQ's SMAC datasets: one HDF5 file with PyMARL's padded episode batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.layouts.base import Layout, Reading, ReadOptions, require
from omiga_torchrl.data.layouts.hdf5 import holds_fields, open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field, find_fields
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.padded import read_padded
from omiga_torchrl.data.layouts.padded_fields import OPTIONAL_FIELDS, REQUIRED_FIELDS
from omiga_torchrl.data.layouts.registry import register_layout


@register_layout("pymarl-h5", priority=70)
class PymarlH5Layout(Layout):
    """One HDF5 file with an array `[E, T1, ...]` per field; see :mod:`omiga_torchrl.data.layouts.padded`."""

    summary: ClassVar[str] = (
        "HDF5 file of PyMARL's episode batches (ICQ) with obs, avail_actions, filled, ..."
    )
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with these fields."""
        return holds_fields(path, REQUIRED_FIELDS)

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the fields and flags, then stream.

        Raises:
            DataError: missing or unfitting fields, or flags that are no zeros and ones.
        """
        with open_hdf5(path) as file:
            reading = read_padded(_open_fields(file, path), f"OfflineDataset: {path}", options)
        # The file is opened again once the blocks are asked for, and closed behind the last one.
        reading.blocks = _blocks(path, options, reading.left_out)
        return reading


def _open_fields(file: Any, path: Path) -> dict[str, Field]:
    fields, found = find_fields(file, REQUIRED_FIELDS, path, optional=OPTIONAL_FIELDS)
    require(found, f"OfflineDataset: {path}", "Expected the fields of PyMARL's episode batches.")
    return fields


def _blocks(path: Path, options: ReadOptions, left_out: LeftOut) -> Iterator[Episodes]:
    with open_hdf5(path) as file:
        yield from read_padded(_open_fields(file, path), f"OfflineDataset: {path}", options, left_out).blocks
