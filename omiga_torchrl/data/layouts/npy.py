"""``.npy`` files that somebody else wrote: looked at before anything is allocated, read in parts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import NPY, require_file

_FIX = "Is it complete? Fetch it again."


def to_single(values: Array) -> Array:
    """In single precision, as it is stored; what is too large becomes infinite without a warning.

    Infinite values are refused where all layouts' values are checked.

    Args:
        values: numbers of any type and shape.

    Examples:
        >>> to_single(np.array([1.5, 1e300]))
        array([1.5, inf], dtype=float32)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


@dataclass(frozen=True)
class NpyFile:
    """An array of numbers in a ``.npy`` file; slices of it are read, not mapped.

    Mapped pages would count as this process's memory, and a file that shrinks would kill it.

    Attributes:
        path: the file.
        shape: its sizes.
        dtype: the type of its values.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npy"
        >>> np.save(path, np.arange(6.0).reshape(3, 2))
        >>> file = NpyFile.open(path)
        >>> file.shape, file[1:3]
        ((3, 2), array([[2., 3.],
               [4., 5.]]))
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _offset: int
    _columns_first: bool

    @classmethod
    def open(cls, path: Path) -> NpyFile:
        """Read and check the header.

        Raises:
            DataError: no ``.npy`` file, not of numbers, or not as long as its header says.
        """
        with as_data_error(path, _FIX), require_file("OfflineDataset", path).open("rb") as file:
            if file.read(len(NPY)) != NPY:
                raise DataError(f"OfflineDataset: {path} is no .npy file. {_FIX}")
            file.seek(0)
            version = np.lib.format.read_magic(file)
            # Version 3 is for the names of structured types, which are no numbers anyway.
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if read is None:
                raise DataError(f"OfflineDataset: {path} has .npy version {version}, expected 1 or 2. {_FIX}")
            shape, columns_first, dtype = read(file)
            offset = file.tell()
            size = path.stat().st_size - offset
        if dtype.hasobject:
            raise DataError(
                f"OfflineDataset: {path} holds Python objects, which may run code when they are loaded; it "
                "was not loaded. Where you trust it, load it yourself and save it as an array of numbers."
            )
        if dtype.kind not in "fiub":
            raise DataError(f"OfflineDataset: {path} holds {dtype}, expected numbers.")
        expected = prod(shape) * dtype.itemsize
        if not shape or min(shape) < 0 or size != expected:
            raise DataError(
                f"OfflineDataset: {path} has {size} bytes of data, its header says {expected} "
                f"({dtype} {shape}). {_FIX}"
            )
        return cls(path, tuple(shape), dtype, offset, columns_first)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    def __getitem__(self, index: slice) -> Array:
        """Rows ``index`` of it, in memory; steps other than 1 are not for files."""
        first, last, _ = index.indices(len(self))
        shape = (max(last - first, 0), *self.shape[1:])
        if not prod(shape):
            return np.empty(shape, self.dtype)
        # A byte of a damaged boolean may be neither 0 nor 1.
        dtype = np.dtype(np.uint8) if self.dtype.kind == "b" else self.dtype
        with as_data_error(self.path, _FIX):
            if self._columns_first:
                # A row is scattered over the whole file.
                values = np.array(np.memmap(self.path, dtype, "r", self._offset, self.shape, "F")[first:last])
            else:
                offset = self._offset + first * self.row_bytes
                values = np.fromfile(self.path, dtype, prod(shape), offset=offset).reshape(shape)
        return values != 0 if self.dtype.kind == "b" else values
