"""Files of ``torch.save`` from elsewhere: loaded without running anything that they name.

``torch.load(weights_only=True)`` refuses every function and class but a few. The arrays of numpy
are not among them, so their names stand for small classes of our own here: numpy's would believe
what a file says about types and memory.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np
import torch

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import TORCH, describe_file

# How files of torch older than 1.6 begin: protocol 2, and the number that torch puts first.
_OLD: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_TYPE: Final = re.compile(r"[fiub][1248]")
_LARGEST: Final = 128 * 2**20
# What torch's long messages are about.
_REFUSED: Final = re.compile(r"(?:GLOBAL|function) (\S+)")
_CAUSE: Final = re.compile(r"WeightsUnpickler error:\s*(.{1,100})")


class _Type:
    """Stands for ``numpy.dtype``."""

    def __init__(self, name: str, *_: Any) -> None:
        if not _TYPE.fullmatch(name):
            raise UnpicklingError(f"arrays of type {name!r}, expected numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """Stands for ``numpy.ndarray``.

    Attributes:
        array: its values.
    """

    array: Array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, data = state
        values = np.frombuffer(data, kind.dtype)
        self.array = values.reshape(shape, order="F" if columns_first else "C")


def _reconstruct(*_: Any) -> PickledArray:
    return PickledArray()


def _scalar(kind: _Type, data: bytes) -> Any:
    return np.frombuffer(data, kind.dtype)[0]


# numpy 2 moved its internals; files of numpy 1 have the old names.
_NAMES: Final[list[Any]] = [
    (PickledArray, "numpy.ndarray"),
    (_Type, "numpy.dtype"),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def is_torch_file(path: Path) -> bool:
    """Whether a file looks like one of ``torch.save``; never raises."""
    try:
        with path.open("rb") as file:
            if file.read(len(_OLD)) == _OLD:
                return True
        return describe_file(path) == TORCH
    except OSError:
        return False


def load_pickled(path: Path) -> Any:
    """Content of a file of ``torch.save``: lists, numbers, tensors, numpy's arrays as :class:`PickledArray`.

    Args:
        path: the file; up to 128 MiB.

    Raises:
        DataError: it is damaged, or holds anything else, which is not run.
    """
    with as_data_error(path):
        size = path.stat().st_size
        if size > _LARGEST:
            raise DataError(
                f"OfflineDataset: {path} has {size >> 20} MiB, expected at most {_LARGEST >> 20}, as it is "
                "read at once. Write its episodes to several files."
            )
        _require_whole(path, size)
        try:
            with torch.serialization.safe_globals(_NAMES), warnings.catch_warnings():
                # It is about pickle protocols: what cannot be read is an error anyway.
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise _refusal(path, str(error)) from error


def _refusal(path: Path, message: str) -> DataError:
    refused = _REFUSED.search(message)
    if refused is not None:
        return DataError(
            f"OfflineDataset: {path} holds code or objects ({refused[1]}), which may do anything when "
            "they are loaded; it was not loaded. Where you trust it, convert it to lists and arrays yourself."
        )
    cause = _CAUSE.search(message)
    return DataError(
        f"OfflineDataset: {path} cannot be read: {cause[1] if cause else 'no file of torch.save'}. "
        "Is it complete? Fetch it again."
    )


def _require_whole(path: Path, size: int) -> None:
    """Refuse archives that are damaged, or compressed and thus of any size once they are unpacked."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > size:
                raise DataError(
                    f"OfflineDataset: {path} is compressed, which torch.save never does, and may be of any "
                    "size inside; it was not opened. Unpack it, and pass what is in it."
                )
            # torch itself does not look at the checksums.
            damaged = archive.testzip()
        if damaged is not None:
            raise DataError(
                f"OfflineDataset: {path}: the checksum of {damaged!r} is wrong. "
                "The file is damaged; fetch it again."
            )
