"""A file that is still being fetched, and where it came from."""

from __future__ import annotations

import os
from http.client import HTTPMessage
from pathlib import Path


class PartialFile:
    """A file that has arrived in part.

    Without a checksum nothing would notice the rest of another version behind it. So the tag is
    kept by which the server knows this version; without one there is no going on.

    Args:
        file: where the whole file goes; this one is kept beside it as ``.part``.
        checked: whether the whole file's checksum is known.

    Attributes:
        path: the file with what has arrived.
    """

    def __init__(self, file: Path, checked: bool) -> None:
        self.path = file.with_name(f"{file.name}.part")
        self._tag = file.with_name(f"{file.name}.part.tag")
        self._checked = checked
        if not checked and not self.tag:
            self.remove()

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def tag(self) -> str:
        """By what the server knows this version; empty if it says nothing."""
        return self._tag.read_text() if self._tag.exists() else ""

    def begin(self, headers: HTTPMessage) -> None:
        """Start from nothing, with what the server says about the file."""
        self.remove()
        tag = headers.get("ETag", "")
        if not tag or tag.startswith("W/"):  # a weak tag may stand for different bytes
            tag = headers.get("Last-Modified", "")
        if tag and not self._checked:
            self._tag.write_text(tag)

    def remove(self) -> None:
        """Forget what has arrived."""
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)

    def finish(self, file: Path) -> None:
        """Put it, complete, in the place of ``file``."""
        os.replace(self.path, file)
        self._tag.unlink(missing_ok=True)
