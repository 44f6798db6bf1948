"""Folders that appear under their name only once they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` that takes its name if the block ends well, and is removed if not.

    Missing parents are made.

    Args:
        path: the folder to write; must not exist.

    Examples:
        >>> path = Path(tempfile.mkdtemp()) / "new"
        >>> with temporary_folder(path) as folder:
        ...     _ = (folder / "a.txt").write_text("whole")
        >>> [file.name for file in path.iterdir()]
        ['a.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: renaming is atomic only within a file system.
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's own mode hides the folder from everybody else
        os.replace(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
