"""Kinds of files, by their first bytes and entries: for messages about files that are not what is meant."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from omiga_torchrl.errors import DataError

HDF5: Final = b"\x89HDF\r\n\x1a\n"
NPY: Final = b"\x93NUMPY"
TORCH: Final = "a file of torch.save"
_PICKLE: Final = b"\x80"
# First bytes and what they say.
_STARTS: Final[tuple[tuple[bytes, str], ...]] = (
    (HDF5, "an HDF5 file"),
    (NPY, "an array of numpy (.npy)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89PNG", "a picture"),
    (b"version https://git-lfs", "a pointer of Git LFS, without the content"),
    (b"<", "a page of HTML or XML"),
)  # fmt: skip
_KINDS: Final = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def require_file(component: str, path: str | Path) -> Path:
    """The path, if it is a file that ends: no folder, no pipe, no device, which would block or never end.

    Args:
        component: who reads it, for the message.
        path: the file.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: it is something else.

    Examples:
        >>> require_file("load_policy", "/dev/null")
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.DataError: load_policy: /dev/null must be a file, got a device. Pass a file ...
    """
    path = Path(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a device")
        raise DataError(f"{component}: {path} must be a file, got {kind}. Pass a file on a disk.")
    return path


def require_files(component: str, path: str | Path) -> Path:
    """The path, if it is a file, or a folder of nothing but files and folders: see :func:`require_file`.

    Args:
        component: who reads them, for the message.
        path: the file or folder.

    Raises:
        FileNotFoundError: nothing is there.
        DataError: a pipe, socket or device is there.
    """
    path = Path(path)
    if not path.is_dir():
        return require_file(component, path)
    for folder, _, names in os.walk(path):
        for name in names:
            if (file := Path(folder, name)).exists():  # links may lead nowhere
                require_file(component, file)
    return path


def describe_file(path: str | Path) -> str:
    """Kind that a file seems to be of; nothing in it is run, and damaged ones raise nothing.

    Args:
        path: a file.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.pt"
        >>> _ = path.write_bytes(b"")
        >>> describe_file(path)
        'an empty file'
        >>> _ = path.write_text('{"a": 1}')
        >>> describe_file(path)
        'a JSON file'
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(4096)
    if not start:
        return "an empty file"
    if not start.strip(b"\x00"):
        return "a file of zeros"
    for first, kind in _STARTS:
        if start.startswith(first):
            return kind
    if start.startswith(b"PK"):
        return _describe_archive(path)
    if start.startswith(_PICKLE):
        return "a pickle, which may hold code and is not loaded"
    return _describe_text(path, start)


def describe_entries(content: object) -> str:
    """Kind that the content of a file of :func:`torch.save` seems to be of, by its entries.

    Args:
        content: what was loaded.

    Examples:
        >>> describe_entries({"format": 1, "step": 3, "metadata": {}, "trainer": {}})
        'a checkpoint of a training at step 3'
        >>> import torch
        >>> describe_entries(torch.nn.Linear(3, 2).state_dict())
        'a bare state_dict: weights without what they are of (weight, bias)'
        >>> describe_entries([1, 2])
        'a list'
    """
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    if {"trainer", "step"} <= content.keys():
        return f"a checkpoint of a training at step {content['step']!r:.20}"
    if {"policy", "algorithm"} <= content.keys():
        return f"a policy of the algorithm {content['algorithm']!r:.40}"
    if {"info", "weights"} <= content.keys():
        return "a behavior policy"
    names = ", ".join(f"{name!s:.40}" for name in list(content)[:4]) + (", ..." if len(content) > 4 else "")
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return f"a bare state_dict: weights without what they are of ({names})"
    return f"a file with the entries {names}" if content else "a file without entries"


def _describe_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # zipfile documents little of what damaged files make it raise
        return "the beginning of a zip archive, cut or damaged"
    if any(name.endswith("/data.pkl") for name in names):
        return TORCH
    if names and all(name.endswith(".npy") for name in names):
        return "arrays of numpy (.npz)"
    return f"a zip archive of {len(names)} files"


def _describe_text(path: Path, start: bytes) -> str:
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return "a file of unknown kind"
    if start.lstrip()[:1] in (b"{", b"["):
        try:
            if path.stat().st_size < 2**20:
                json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return "damaged JSON, or lines of it"
        return "a JSON file"
    return "a text file"


def require_entries(
    component: str,
    path: str | Path,
    content: Mapping[str, Any],
    entries: Mapping[str, Any],
    *,
    kind: str,
    hint: str,
) -> None:
    """Raises unless a loaded file is of the expected kind.

    Args:
        component: who reads it, for the message.
        path: the file.
        content: what was loaded.
        entries: that it must have; ``None`` stands for any value.

    Keyword Args:
        kind: what is expected, e.g. ``"a policy"``.
        hint: what to do.

    Raises:
        DataError: an entry is missing, or another.

    Examples:
        >>> found = {"step": 3, "trainer": {}}
        >>> require_entries("load_policy", "a.pt", found, {"policy": None}, kind="a policy", hint="Pass ...")
        Traceback (most recent call last):
        ...
        omiga_torchrl.errors.DataError: load_policy: a.pt must be a policy, got a checkpoint of a training ...
    """
    missing = [name for name in entries if name not in content]
    if missing:
        found = f"{describe_entries(content)}, without {', '.join(missing)}"
        raise DataError(f"{component}: {path} must be {kind}, got {found}. {hint}")
    wrong = [name for name, value in entries.items() if value is not None and content[name] != value]
    if wrong:
        told = ", ".join(f"{name} {content[name]!r:.40}" for name in wrong)
        needed = ", ".join(f"{name} {entries[name]!r}" for name in wrong)
        raise DataError(
            f"{component}: {path} must be {kind} of {needed}, got one of {told}: of a newer version, or "
            f"damaged. {hint}"
        )
