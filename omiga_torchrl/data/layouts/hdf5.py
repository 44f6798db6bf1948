"""Careful access to HDF5 files: every fault of a file is a :class:`DataError`, sizes are checked first."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import HDF5, require_file
from omiga_torchrl.files import storage_errors

# A field may be larger than what is stored of it by as much as compression can explain, or this.
_COMPRESSION: Final = 2000
_SMALL: Final = 64 * 2**20

# Decompressed chunks that are kept, per field: a block of rows rarely ends where a chunk does. Those of one
# row are enough, as rows are read in their order; most fields have smaller ones than the first size.
_CHUNK_CACHE: Final = 2**20
_LARGEST_CHUNK_CACHE: Final = 48 * 2**20
_CHUNK_SLOTS: Final = 10_007
_CHUNK_PREEMPTION: Final = 0.75  # of 1 HDF5 grows beyond the room it is given


def is_hdf5(path: Path) -> bool:
    """Whether there is a file that begins as HDF5 files do."""
    try:
        with open(path, "rb") as file:
            return file.read(len(HDF5)) == HDF5
    except OSError:
        return False


def holds_fields(path: Path, fields: Iterable[str]) -> bool:
    """Whether an HDF5 file has all of ``fields`` at its root; never raises.

    Where h5py is missing every HDF5 file does, so that reading it says what to install.
    """
    if not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file, as_data_error(path):
            return set(file).issuperset(fields)
    except ImportError:
        return True
    except DataError:
        return False


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """The open ``h5py.File``, to read only.

    Raises:
        ImportError: h5py is not installed.
        DataError: it is no HDF5 file, the file is damaged, or links to other files.
    """
    h5py = _import_h5py()
    with as_data_error(path):
        file = h5py.File(
            require_file("OfflineDataset", path), "r", rdcc_nbytes=_CHUNK_CACHE, rdcc_nslots=_CHUNK_SLOTS
        )
    try:
        _require_own_links(file, path)
        yield file
    finally:
        file.close()


@contextmanager
def create_hdf5(path: Path) -> Iterator[Any]:
    """A new ``h5py.File`` that appears as ``path`` only once it is complete.

    Raises:
        ImportError: h5py is not installed.
        FileExistsError: there is something at ``path``.
        StorageError: it cannot be written.
    """
    h5py = _import_h5py()
    if path.exists():
        raise FileExistsError(f"{path} exists; expected a new file. Remove it or choose another name.")
    with storage_errors(path, "out="), _temporary(path) as temporary, h5py.File(temporary, "w") as file:
        yield file


@contextmanager
def _temporary(path: Path) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o644)  # mkstemp's own mode hides the file from everybody else
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _require_own_links(file: Any, path: Path) -> None:
    """Refuses links to other files: they could be any file of the machine."""
    h5py, outside = _import_h5py(), []

    def look(name: bytes, info: Any) -> None:
        if info.type not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            outside.append(name.decode(errors="replace"))

    with as_data_error(path):
        file.id.links.visit(look, info=True)
    if outside:
        raise DataError(
            f"OfflineDataset: {path} links to other files ({outside[0]!r:.60}), which are not read. Copy the "
            "data into one file, e.g. by h5repack or h5copy."
        )


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 files need h5py: pip install "omiga-torchrl[data]"') from error
    return h5py


class Field:
    """One array in an HDF5 file; slices of it are read when they are asked for.

    Args:
        dataset: the ``h5py.Dataset``.
        where: its file and name, for messages.
        available: bytes of the file.

    Raises:
        DataError: it is no array of numbers, or says that it is larger than it can be.
    """

    def __init__(self, dataset: Any, where: str, available: int) -> None:
        self.where = where
        self._dataset = dataset
        with as_data_error(where):
            shape, self.dtype = dataset.shape, dataset.dtype
            stored = dataset.id.get_storage_size()
            elsewhere = dataset.is_virtual or dataset.external is not None
        if elsewhere:
            raise DataError(
                f"{where} lies in other files (external storage or a virtual dataset), which are not read. "
                "Copy the data into one file, e.g. by h5repack"
            )
        if shape is None or self.dtype.kind not in "biuf":
            raise DataError(f"{where} has type {self.dtype} and shape {shape}, expected an array of numbers")
        self.shape: tuple[int, ...] = shape
        size = math.prod(shape) * self.dtype.itemsize
        if stored > available or size > max(_SMALL, _COMPRESSION * stored):
            raise DataError(
                f"{where} has shape {shape}, but {stored} bytes of it are stored in {available} bytes"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice) -> Array:
        """Rows ``index``."""
        with as_data_error(self.where):
            return self._dataset[index]

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
                present = name in group
                dataset = _open_dataset(group, name) if present else None
            if not present:
                found.append(f"{name!r} is missing")
            elif not isinstance(dataset, _import_h5py().Dataset):
                found.append(f"{name!r} is no array")
            else:
                fields[name] = Field(dataset, repr(name), available)
                fields[name].where = f"{where}: {name!r}"
        except DataError as error:
            found.append(str(error).removeprefix("OfflineDataset: "))
    return fields, found


def _open_dataset(group: Any, name: str) -> Any:
    """An object of a group; an array of large chunks is opened with room for those of one row."""
    found, h5py = group[name], _import_h5py()
    if not isinstance(found, h5py.Dataset) or not found.chunks:
        return found
    across = [math.ceil(size / part) for size, part in zip(found.shape[1:], found.chunks[1:], strict=True)]
    chunk = math.prod(found.chunks) * found.dtype.itemsize
    room = min((math.prod(across) + 1) * chunk, _LARGEST_CHUNK_CACHE)
    if room <= _CHUNK_CACHE:
        return found
    del found  # HDF5 keeps the settings of an array as long as it is open
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(_CHUNK_SLOTS, room, _CHUNK_PREEMPTION)
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


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
