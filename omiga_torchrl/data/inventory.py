"""Inventory of the files of a converted dataset, so that a damaged cache is never trained on."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.files import atomic_write

INVENTORY_FILE: Final = "files.json"
_BLOCK: Final = 2**22


def write_inventory(folder: Path) -> None:
    """Writes size, time and checksum of every file below a folder to ``files.json`` in it.

    Args:
        folder: a complete conversion.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a").write_text("whole")
        >>> write_inventory(folder)
        >>> damage_of(folder) is None
        True
        >>> _ = (folder / "a").write_text("whol")
        >>> damage_of(folder)
        'a has 4 bytes, expected 5'
    """
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != INVENTORY_FILE)
    _write(folder, {file.relative_to(folder).as_posix(): _facts(file) for file in files})


def update_inventory(folder: Path, name: str) -> None:
    """Takes a file that was rewritten on purpose into an inventory, without reading the others again.

    Args:
        folder: with an inventory.
        name: of the file in it.
    """
    listed = json.loads((folder / INVENTORY_FILE).read_bytes())
    _write(folder, {**listed, name: _facts(folder / name)})


def damage_of(folder: Path) -> str | None:
    """Damage of a converted dataset, by its inventory; ``None``: there is none.

    Contents are read only of files whose time has changed, e.g. because they were copied.

    Args:
        folder: of the conversion.
    """
    try:
        listed = json.loads((folder / INVENTORY_FILE).read_bytes())
        told: dict[str, list[int]] = {name: [int(one) for one in facts] for name, facts in listed.items()}
        if not told or {len(facts) for facts in told.values()} != {3}:
            raise ValueError(INVENTORY_FILE)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return f"{INVENTORY_FILE} is missing or damaged"
    touched = False
    for name, (size, time, checksum) in told.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        found_size, found_time = _stamp(file)
        if found_size != size:
            return f"{name} has {found_size} bytes, expected {size}"
        if found_time == time:
            continue
        if _crc(file) != checksum:
            return f"the content of {name} has changed"
        told[name][1], touched = found_time, True
    if touched:
        with suppress(OSError):  # a cache that others own: read again next time
            _write(folder, told)
    return None


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _facts(file: Path) -> list[int]:
    return [*_stamp(file), _crc(file)]


def _crc(file: Path) -> int:
    checksum = 0
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _write(folder: Path, facts: dict[str, Any]) -> None:
    with atomic_write(folder / INVENTORY_FILE) as file:
        file.write(json.dumps(facts).encode())
