"""Files of records: `<key>.json`, or the same compressed, `<key>.json.gz`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SUFFIX: Final = ".json"
COMPRESSED: Final = ".json.gz"


def find_record(folder: str | Path, key: str) -> Path | None:
    """The file of a run's record; ``None``: there is none.

    Args:
        folder: of all records.
        key: of the run.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "bc__game__mixed__seed0__0.json.gz").touch()
        >>> find_record(folder, "bc__game__mixed__seed0__0").name
        'bc__game__mixed__seed0__0.json.gz'
        >>> find_record(folder, "bc__game__mixed__seed1__0")
    """
    paths = [Path(folder) / f"{key}{suffix}" for suffix in (SUFFIX, COMPRESSED)]
    return next((path for path in paths if path.is_file()), None)


def record_paths(folder: str | Path) -> list[Path]:
    """The files of all records below a folder, by their names.

    Args:
        folder: searched with its subfolders.
    """
    return files_of_runs(folder, SUFFIX, COMPRESSED)


def files_of_runs(folder: str | Path, *suffixes: str) -> list[Path]:
    """Files that are named by the key of a run, by their names.

    Args:
        folder: searched with its subfolders.
        suffixes: that follow the key.
    """
    return sorted(path for suffix in suffixes for path in Path(folder).rglob(f"*__seed*{suffix}"))


def key_of(path: Path) -> str:
    """The key of the run whose record a file is, by its name.

    Examples:
        >>> key_of(Path("records/bc__game__mixed__seed0__0.json.gz"))
        'bc__game__mixed__seed0__0'
    """
    return path.name.removesuffix(".gz").removesuffix(SUFFIX)
