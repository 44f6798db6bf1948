"""Files that are whole or absent, their checksums, and the versions that are written into them."""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import torch

from omiga_torchrl.errors import DataError, StorageError
from omiga_torchrl.file_kinds import TORCH, describe_entries, describe_file, require_file

PACKAGES = (
    "omiga-torchrl", "torch", "torchrl", "tensordict", "numpy",
    "vmas", "mujoco", "gymnasium", "gymnasium-robotics", "jaxmarl",
)  # fmt: skip
_TEMPORARY: Final = ".unfinished"
_FULL: Final = "Make room, or write to another disk. What was there before is whole."
_REFUSED: Final = "Write to a folder of your own."
_ADVICE: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST), _REFUSED
    ),
}


@contextmanager
def storage_errors(path: str | Path, setting: str = "") -> Iterator[None]:
    """Inside the block a full disk and a folder that may not be written are a `StorageError` that helps.

    Args:
        path: what is written.
        setting: what chooses its place, e.g. ``"out="``, for the message.

    Raises:
        StorageError: names the path, the reason, the room that is left, and the way out.

    Examples:
        >>> with storage_errors("/dev/null/runs", "out="):
        ...     Path("/dev/null/runs").mkdir()
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.StorageError: /dev/null/runs cannot be written: Not a directory. Write to a ...
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        cause = _storage_cause(error)
        if cause is None:
            raise
        advice = _ADVICE[cause.errno or 0]
        reason = f"{cause.strerror or os.strerror(cause.errno or 0)}{_room(path) if advice is _FULL else ''}"
        chosen = f" {setting} chooses it." if setting else ""
        raise StorageError(cause.errno, f"{path} cannot be written: {reason}. {advice}{chosen}") from error


def _storage_cause(error: BaseException | None) -> OSError | None:
    """The system's error behind one of torch's, which hides it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ADVICE:
            return error
        error = error.__cause__ or error.__context__
    return None


def _room(path: str | Path) -> str:
    there = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
    return f" ({shutil.disk_usage(there).free >> 20} MiB free)"


def remove_unfinished(folder: str | Path) -> int:
    """Removes what processes that were killed had begun to write in a folder and below; how many files.

    Args:
        folder: nobody else may write in it.

    Examples:
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / ".a.txt.x7k3q9.unfinished").write_text("half")
        >>> remove_unfinished(folder), list(folder.iterdir())
        (1, [])
    """
    left = [path for path in Path(folder).rglob(f".*{_TEMPORARY}") if path.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` only once it is complete and on disk.

    A crash or an error inside the block leaves the old file, or none. Missing folders are made.

    Args:
        path: file to write.

    Raises:
        StorageError: the disk is full, or the folder may not be written.

    Examples:
        >>> path = Path(tempfile.mkdtemp()) / "folder" / "a.txt"
        >>> with atomic_write(path) as file:
        ...     _ = file.write(b"whole")
        >>> path.read_text()
        'whole'
    """
    path = Path(path)
    with storage_errors(path), _temporary(path) as file:
        yield file


@contextmanager
def _temporary(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A temporary file in the same folder: renaming is atomic only within a file system.
    handle, temporary = tempfile.mkstemp(_TEMPORARY, f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's own mode hides the file from everybody else
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_plain(component: str, path: str | Path, **kwargs: Any) -> dict[str, Any]:
    """The dictionary in a file of :func:`torch.save`; no code in the file is run.

    Every byte is checked against the file's checksums: torch itself does not, and would train on with
    damaged weights.

    Args:
        component: who reads it, for the error message.
        path: the file.
        **kwargs: for :func:`torch.load`; ``weights_only=True`` and ``map_location="cpu"`` by default.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: the file is damaged, or of another program, or holds no dictionary; says what it seems to
            be.

    Examples:
        >>> path = Path(tempfile.mkdtemp()) / "a.pt"
        >>> torch.save({"step": 3}, path)
        >>> load_plain("load_checkpoint", path)
        {'step': 3}
    """
    path = require_file(component, path)
    reason = _damage(path)
    if reason is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about pickles that it refuses anyway
                content = torch.load(path, **{"weights_only": True, "map_location": "cpu", **kwargs})
        except MemoryError:
            raise
        except Exception as error:  # torch documents little of what foreign files make it raise
            reason = _reason(error)
        else:
            if isinstance(content, dict):
                return content
            reason = describe_entries(content)
    raise DataError(
        f"{component}: {path} must be a whole file of torch.save with a dictionary of plain values, got "
        f"{reason}. Pass a file that this library wrote."
    )


def _damage(path: Path) -> str | None:
    """Why a file is no whole archive of torch's; ``None``: it is."""
    kind = describe_file(path)
    if kind != TORCH:
        return kind
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > size:
                return "a compressed archive, which torch.save does not write"
            damaged = archive.testzip()
    except Exception as error:  # zipfile documents little of what damaged files make it raise
        return f"a damaged one ({type(error).__name__})"
    return None if damaged is None else f"a damaged one: the checksum of {damaged!r} is wrong"


def _reason(error: Exception) -> str:
    named = re.search(r"(?:GLOBAL|Unsupported (?:class|global)|function) (\S+)", str(error))
    if named is not None:
        return f"one that holds code or objects ({named[1]}), which is not loaded"
    text = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"one that cannot be read ({type(error).__name__}: {text:.120})"


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Args:
        path: the file; it is read in blocks.

    Examples:
        >>> path = Path(tempfile.mkdtemp()) / "a.txt"
        >>> _ = path.write_bytes(b"whole")
        >>> file_sha256(path)[:8]
        '5d5766cf'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide results.

    Examples:
        >>> "torch" in library_versions()
        True
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
