"""The arrays of HDF5 files: their sizes are checked before anything is read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.hdf5 import CHUNK_CACHE, CHUNK_SLOTS, import_h5py
from omiga_torchrl.errors import DataError

# A field may be larger than what is stored of it by as much as compression can explain, or this.
_COMPRESSION: Final = 2000
_SMALL: Final = 64 * 2**20

# Decompressed chunks of one row are enough, as rows are read in their order; most fields have smaller ones
# than the size that all files are opened with.
_LARGEST_CHUNK_CACHE: Final = 48 * 2**20
_LITTLE: Final = 2**16
_CHUNK_PREEMPTION: Final = 0.75  # of 1 HDF5 grows beyond the room it is given


class Field:
    """One array in an HDF5 file; slices of it are read when they are asked for.

    Args:
        found: the low-level ``h5py.h5d.DatasetID``: files of one group an episode have many small arrays,
            for which the settings of ``h5py.Dataset`` take longer than reading.
        where: its file and name, for messages.
        available: bytes of the file.

    Raises:
        DataError: it is no array of numbers, or says that it is larger than it can be.
    """

    def __init__(self, found: Any, where: str, available: int) -> None:
        self.where = where
        h5py = import_h5py()
        self.shape: tuple[int, ...] = found.shape
        self.dtype = found.dtype
        is_null = not self.shape and found.get_space().get_simple_extent_type() == h5py.h5s.NULL
        stored, settings = found.get_storage_size(), found.get_create_plist()
        elsewhere = settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count() > 0
        if elsewhere:
            raise DataError(
                f"{where} lies in other files (external storage or a virtual dataset), which are not read. "
                "Copy the data into one file, e.g. by h5repack"
            )
        if is_null or self.dtype.kind not in "biuf":
            shape = None if is_null else self.shape
            raise DataError(f"{where} has type {self.dtype} and shape {shape}, expected an array of numbers")
        size = math.prod(self.shape) * self.dtype.itemsize
        if stored > available or size > max(_SMALL, _COMPRESSION * stored):
            raise DataError(
                f"{where} has shape {self.shape}, but {stored} bytes of it are stored in {available} bytes"
            )
        self._found = found

    @cached_property
    def _dataset(self) -> Any:
        return import_h5py().Dataset(self._found)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> Array:
        """Rows ``index``."""
        with as_data_error(self.where):
            return self._dataset[index]

    def read(self) -> Array:
        """All of it."""
        out, everything = np.empty(self.shape, self.dtype), import_h5py().h5s.ALL
        with as_data_error(self.where):
            self._found.read(everything, everything, out)
        return out

    def read_into(self, out: Array, start: int) -> None:
        """Fill ``out`` with the rows from ``start`` on, without an array in between."""
        with as_data_error(self.where):
            self._dataset.read_direct(out, np.s_[start : start + len(out)])


def find_fields(
    group: Any, names: Iterable[str], where: str | Path, *, optional: Iterable[str] = ()
) -> tuple[dict[str, Field], list[str]]:
    """The arrays ``names`` of a group, and what is wrong with those that are not returned.

    Args:
        group: an open ``h5py.File``, or a group in it.
        names: what should be there.
        where: the file, for messages while reading.
        optional: what may be there.
    """
    fields: dict[str, Field] = {}
    found: list[str] = []
    with as_data_error(where):
        available = os.path.getsize(group.file.filename)
        names = (*names, *(name for name in optional if name in group))
    for name in names:
        try:
            with as_data_error(repr(name)):
                array, problem = _open_array(group, name)
                if array is None:
                    found.append(f"{name!r} {problem}")
                    continue
                fields[name] = Field(array, repr(name), available)
            fields[name].where = f"{where}: {name!r}"
        except DataError as error:
            found.append(str(error).removeprefix("OfflineDataset: "))
    return fields, found


def _open_array(group: Any, name: str) -> tuple[Any, str]:
    """The array of a group, or ``None`` and what is there instead."""
    h5py, path = import_h5py(), name.encode()
    try:
        found = h5py.h5d.open(group.id, path)
    except (KeyError, ValueError):
        if name not in group:
            return None, "is missing"
        if not isinstance(group[name], h5py.Dataset):
            return None, "is no array"
        raise
    room = _room_for_a_row(found)
    if room > CHUNK_CACHE:
        del found  # HDF5 keeps the settings of an array as long as it is open
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(CHUNK_SLOTS, room, _CHUNK_PREEMPTION)
        found = h5py.h5d.open(group.id, path, access)
    return found, ""


def _room_for_a_row(found: Any) -> int:
    """Bytes of the chunks of one row, and one more; 0 if the array has none, or little is stored of it."""
    if found.get_storage_size() <= _LITTLE:
        return 0
    shape, item, settings = found.shape, found.dtype.itemsize, found.get_create_plist()
    if settings.get_layout() != import_h5py().h5d.CHUNKED:
        return 0
    chunks = settings.get_chunk()
    across = [math.ceil(size / part) for size, part in zip(shape[1:], chunks[1:], strict=True)]
    return min((math.prod(across) + 1) * math.prod(chunks) * item, _LARGEST_CHUNK_CACHE)


def ends_of(field: Field) -> Array:
    """Rows in which a flag is set, read in pieces.

    Args:
        field: zeros and ones `[R]` or `[R, 1]`.

    Raises:
        DataError: it holds something else.
    """
    found, rows = [], len(field)
    for start in range(0, rows, _SMALL // 64):
        values = field[start : start + _SMALL // 64].reshape(-1)
        wrong = (values != 0) & (values != 1)
        if wrong.any():
            raise DataError(
                f"OfflineDataset: {field.where} holds {values[wrong][0]} in row "
                f"{start + int(wrong.argmax())}; expected zeros and ones. Is it the flag of an episode's end?"
            )
        found.append(start + np.flatnonzero(values))
    return np.concatenate([np.zeros(0, np.int64), *found])
