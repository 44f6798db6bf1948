"""Unpacking of downloaded archives that may not be what they seem."""

from __future__ import annotations

import errno
import lzma
import os
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from omiga_torchrl.errors import DataError

# Deflate reaches 1032; numbers that someone would call data are far below this.
_LARGEST_RATIO: Final = 200
_ALWAYS_ALLOWED: Final = 1 << 26
# RuntimeError: encrypted; NotImplementedError: compressed in an unknown way.
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, NotImplementedError,
    ValueError, OverflowError, OSError,
)  # fmt: skip


def unpack_member(archive: Path, member: str) -> None:
    """Unpack a file or folder of a zip beside the zip; it appears whole or not at all.

    Of ``"3hopper.vlt/Expert"`` the whole of ``"3hopper.vlt"`` is unpacked, and nothing else.

    Args:
        archive: the zip.
        member: path inside it, with slashes.

    Raises:
        DataError: it is no zip, is damaged, lacks the member, or holds what no dataset does:
            paths that lead out of the folder, links, or far more bytes than it has itself.
        FileExistsError: there is already something of this name.
        OSError: the disk is too small.

    Examples:
        >>> zipped = Path(tempfile.mkdtemp()) / "some.zip"
        >>> with zipfile.ZipFile(zipped, "w") as file:
        ...     file.writestr("some.vlt/Expert/data", "text")
        >>> unpack_member(zipped, "some.vlt/Expert")
        >>> (zipped.parent / "some.vlt" / "Expert" / "data").read_text()
        'text'
    """
    top = PurePosixPath(member).parts[0]
    require_absent(archive, member)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".unpacking-") as temporary:
        try:
            with zipfile.ZipFile(archive) as file:
                entries = [one for one in file.infolist() if PurePosixPath(one.filename).parts[:1] == (top,)]
                _require_harmless(archive, file.infolist())
                _require_space(archive, entries)
                file.extractall(temporary, entries)
        except DataError:
            raise
        except _DAMAGED as error:
            # A damaged offset makes zipfile seek before the start of the file.
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            raise DataError(
                f"download: {archive} cannot be unpacked: {error}. Delete it and call again."
            ) from error
        if not Path(temporary, *PurePosixPath(member).parts).exists():
            raise DataError(f"download: {archive} holds no {member}; the publishers changed it.")
        os.replace(Path(temporary, top), archive.parent / top)


def require_absent(archive: Path, member: str) -> None:
    """Raise ``FileExistsError`` if unpacking ``member`` would have to replace something.

    Args:
        archive: the zip, which need not be there yet.
        member: path inside it, with slashes.
    """
    target = archive.parent / PurePosixPath(member).parts[0]
    if target.exists():
        raise FileExistsError(
            f"download: {target} exists already, but lacks {member}; move it away and call again."
        )


def _require_harmless(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        # `orig_filename`: zipfile itself mends some of these names.
        name = entry.orig_filename
        outside = (
            name.startswith(("/", "\\"))
            or re.match("[A-Za-z]:", name)
            or ".." in name.replace("\\", "/").split("/")
        )
        if outside or "\0" in name or stat.S_ISLNK(entry.external_attr >> 16):
            raise DataError(
                f"download: {archive} holds {name!r}, which leads out of its folder; not unpacked."
            )
    total, packed = sum(entry.file_size for entry in entries), archive.stat().st_size
    if total > max(_ALWAYS_ALLOWED, _LARGEST_RATIO * packed):
        raise DataError(f"download: {archive} has {packed} bytes, unpacked {total}; not unpacked.")


def _require_space(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    needed, free = sum(entry.file_size for entry in entries), shutil.disk_usage(archive.parent).free
    if needed > free:
        raise OSError(f"download: {archive} needs {needed} bytes unpacked, the disk has {free} free.")
