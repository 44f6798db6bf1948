"""HDF5 files, opened and written carefully: every fault of a file is a :class:`DataError`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import HDF5, require_file
from omiga_torchrl.files import storage_errors

# Decompressed chunks that are kept, per field: a block of rows rarely ends where a chunk does.
CHUNK_CACHE: Final = 2**20
CHUNK_SLOTS: Final = 10_007

# Its entries take up to ten times their size in memory.
_METADATA_CACHE: Final = 2**18


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
    h5py = import_h5py()
    with as_data_error(path):
        file = h5py.File(
            require_file("OfflineDataset", path), "r", rdcc_nbytes=CHUNK_CACHE, rdcc_nslots=CHUNK_SLOTS
        )
    try:
        _limit_metadata(file)
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
    h5py = import_h5py()
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


def _limit_metadata(file: Any) -> None:
    """Little memory for descriptions of arrays: many small ones, each read once, fill what there is."""
    settings = file.id.get_mdc_config()
    settings.set_initial_size, settings.flash_incr_mode, settings.incr_mode = True, 0, 0
    settings.initial_size = settings.min_size = settings.max_size = _METADATA_CACHE
    file.id.set_mdc_config(settings)


def _require_own_links(file: Any, path: Path) -> None:
    """Refuses links to other files: they could be any file of the machine."""
    h5py, outside = import_h5py(), []

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


def import_h5py() -> Any:
    """The package; an ImportError says what to install."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 files need h5py: pip install "omiga-torchrl[data]"') from error
    return h5py
