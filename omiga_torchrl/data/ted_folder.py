"""Folders of converted data that appear whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from omiga_torchrl.data.inventory import damage_of, write_inventory
from omiga_torchrl.data.ted import TedWriter
from omiga_torchrl.errors import StorageError

_LOG = logging.getLogger(__name__)


def write_whole(folder: Path, write: Callable[[TedWriter], None], *, expected_bytes: int = 0) -> None:
    """Call ``write(TedWriter)`` on a folder that appears under its name only when it is complete.

    Only one process at a time writes; another one waits and then finds the folder. What an
    interrupted process left behind is removed first.

    Args:
        folder: where the result goes; a whole one is left as it is, a damaged one is made anew.
        write: fills the writer.
        expected_bytes: refuse at once if the disk has less room than this.

    Raises:
        StorageError: the disk is full, or the folder cannot be written; nothing is left behind.
    """
    _require_writable(folder.parent)
    partial = folder.with_name(f"{folder.name}.partial")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():
            damage = damage_of(folder)
            if damage is None:
                return
            _LOG.warning(
                "OfflineDataset: the converted data are damaged and are made anew: %s in %s.", damage, folder
            )
            shutil.rmtree(folder)
        shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(folder.parent).free
        if free < expected_bytes:
            raise _full(folder, expected_bytes, free)
        partial.mkdir()
        writer = TedWriter(partial)
        try:
            write(writer)
            writer.close()
            write_inventory(partial)
            os.replace(partial, folder)
        except BaseException as error:
            writer.abandon()
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise _full(folder, expected_bytes, free) from error
            raise


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StorageError(
            error.errno,
            f"OfflineDataset: {folder}, for converted data, cannot be written ({error.strerror}). Pass root= "
            "(data_root= of the recipes), or set OMIGA_TORCHRL_HOME to a folder of your own.",
        ) from error


def _full(folder: Path, needed: int, free: int) -> StorageError:
    return StorageError(
        errno.ENOSPC,
        f"OfflineDataset: not enough room in {folder.parent} for the converted data (about "
        f"{needed / 2**20:.0f} MiB, {free / 2**20:.0f} MiB free). Nothing was kept. Pass root= on "
        "another disk, or set OMIGA_TORCHRL_HOME.",
    )
