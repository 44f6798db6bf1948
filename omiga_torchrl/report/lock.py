"""A folder that one process writes at a time."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOCK_FILE: Final = ".lock"
_HELD: dict[Path, int] = {}


class RunLockedError(RuntimeError):
    """Another process is writing the run's folder."""


def lock_folder(folder: Path) -> None:
    """Takes a folder for this process, until :func:`release_folder` or its end, however it ends.

    The same process may take it again. Nothing is left behind by a process that was killed. Systems without
    ``fcntl`` have no lock.

    Args:
        folder: it exists.

    Raises:
        RunLockedError: another process has it; says which.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> lock_folder(folder)
        >>> (folder / ".lock").exists()
        True
        >>> release_folder(folder)
        >>> (folder / ".lock").exists()
        False
    """
    try:
        import fcntl
    except ImportError:
        return
    file = folder.resolve() / LOCK_FILE
    if file in _HELD:
        if _same_file(_HELD[file], file):
            return
        os.close(_HELD.pop(file))
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(handle, 200).decode(errors="replace").strip()
            os.close(handle)
            raise RunLockedError(
                f"RunWriter: {folder} is being written by another process ({owner or 'just started'}); "
                f"expected to be the only one. Wait until it ends, or choose another root or label."
            ) from None
        if _same_file(handle, file):
            break
        os.close(handle)  # its owner has removed it between the two calls
    os.ftruncate(handle, 0)
    os.write(handle, json.dumps({"pid": os.getpid(), "host": platform.node()}).encode())
    _HELD[file] = handle


def release_folder(folder: Path) -> None:
    """Gives a folder free; nothing if this process does not hold it."""
    file = folder.resolve() / LOCK_FILE
    handle = _HELD.pop(file, None)
    if handle is None:
        return
    if _same_file(handle, file):
        file.unlink()
    os.close(handle)


def held_handles(folders: Iterable[Path]) -> list[int]:
    """Open files of the locks that this process holds: a child that inherits them holds them, too.

    So a folder stays locked until both have ended, also where one was killed.

    Args:
        folders: those without a lock of this process are left out.
    """
    files = (folder.resolve() / LOCK_FILE for folder in folders)
    return [_HELD[file] for file in files if file in _HELD]


def _same_file(handle: int, file: Path) -> bool:
    """Whether an open file still is the one of this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))
    except FileNotFoundError:
        return False
