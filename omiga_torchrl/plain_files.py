"""Readers of JSON and ``.npz`` files: whatever a damaged or foreign one does is one `DataError`."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.errors import DataError
from omiga_torchrl.file_kinds import describe_file, require_file

# Descriptions have kilobytes; more is another file, and may not fit into memory.
_LARGEST_TEXT: Final = 256 * 2**20
_CAUSE: Final = 120


def read_text(component: str, path: str | Path, hint: str) -> str:
    """The text of a file in UTF-8, which may be compressed with gzip if its name ends in ``.gz``.

    Args:
        component: who reads it, for the message.
        path: the file.
        hint: what to do if it is none, for the message.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is no file, too large, or not UTF-8.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> _ = path.write_bytes(bytes([123, 255]) * 9)
        >>> read_text("load_runs", path, "Delete it.")
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.DataError: load_runs: ...a.json must be text in UTF-8, got other bytes ...
    """
    path = require_file(component, path)
    size = path.stat().st_size
    if size > _LARGEST_TEXT:
        raise _too_large(component, f"{path} has {size >> 20} MiB", hint)
    content = _unpacked(component, path, hint) if path.suffix == ".gz" else path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{component}: {path} must be text in UTF-8, got other bytes from byte {error.start} on. {hint}"
        ) from error


def _too_large(component: str, got: str, hint: str) -> DataError:
    return DataError(f"{component}: {got}, expected text of at most {_LARGEST_TEXT >> 20} MiB. {hint}")


def _unpacked(component: str, path: Path, hint: str) -> bytes:
    try:
        with gzip.open(path) as file:
            content = file.read(_LARGEST_TEXT + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        cause = f"{describe_file(path)} ({error})"
        raise DataError(f"{component}: {path} must be a whole gzip file, got {cause}. {hint}") from error
    if len(content) > _LARGEST_TEXT:
        raise _too_large(component, f"{path} unpacked is too large", hint)
    return content


def read_json(component: str, path: str | Path, hint: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        component: who reads it, for the message.
        path: the file.
        hint: what to do if it is none, for the message.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is damaged, or something else.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.json"
        >>> _ = path.write_text('{"seed": 0}')
        >>> read_json("load_runs", path, "Delete it.")
        {'seed': 0}
    """
    text = read_text(component, path, hint)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        cause = f"{describe_file(path)} ({error})"
        raise DataError(f"{component}: {path} must be a whole JSON file, got {cause}. {hint}") from error
    if not isinstance(found, dict):
        raise DataError(f"{component}: {path} must hold a JSON object, got a {type(found).__name__}. {hint}")
    return found


@contextmanager
def open_npz(
    component: str, path: str | Path, hint: str, *, largest: int | None = None
) -> Iterator[dict[str, Any]]:
    """The arrays of an ``.npz`` file, for a block in which everything that goes wrong is about the file.

    Args:
        component: who reads it, for the message.
        path: the file; nothing in it is run.
        hint: what to do if it is damaged, for the message.

    Keyword Args:
        largest: bytes that all arrays may have together; ``None`` takes any number.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is damaged, or something else.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(path, x=np.arange(3))
        >>> with open_npz("load", path, "Fetch it again.") as arrays:
        ...     arrays["x"]
        array([0, 1, 2])
        >>> _ = path.write_bytes(path.read_bytes()[:100])
        >>> with open_npz("load", path, "Fetch it again.") as arrays:
        ...     pass
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.DataError: load: ...a.npz must be a whole .npz file, got the beginning ...
    """
    path = require_file(component, path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if largest is not None and size > largest:
            raise DataError(
                f"{component}: the arrays in {path} have {size >> 20} MiB, expected at most "
                f"{largest >> 20}. {hint}"
            )
        with np.load(path, allow_pickle=False) as file:
            yield {name: file[name] for name in file.files}
    except (DataError, MemoryError):
        raise
    except Exception as error:  # numpy and zipfile document little of what damaged files make them raise
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:_CAUSE]
        raise DataError(
            f"{component}: {path} must be a whole .npz file, got {describe_file(path)} ({cause}). {hint}"
        ) from error
