"""Package metadata that are not written down twice: the README with links that work on a package index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


def absolute_links(text: str, repository: str) -> str:
    """``text`` with its relative links and pictures as addresses in ``repository``.

    Args:
        text: Markdown, as it is read in a clone.
        repository: address of the repository, without a slash at its end.
    """
    raw = repository.replace("https://github.com/", "https://raw.githubusercontent.com/")

    def absolute(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        base = f"{raw}/main" if mark else f"{repository}/blob/main"
        return f"{mark}[{label}]({base}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)]+)\)", absolute, text)


class ReadmeHook(MetadataHookInterface):
    """Gives the project's long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``readme`` in the project's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute_links(text, metadata["urls"]["Source"]),
        }
