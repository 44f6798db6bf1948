"""Hooks of the build: a README whose links work on a package index, and recipes inside the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

RECORDS = "results"


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


class RecipesHook(BuildHookInterface[Any]):
    """Puts the recipes into the package, without the records of our results."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add every file by its place in the wheel.

        Args:
            version: kind of the wheel.
            build_data: of the build, changed in place.
        """
        recipes = Path(self.root) / "recipes"
        for file in sorted(recipes.rglob("*")):
            place = file.relative_to(recipes)
            if file.is_file() and place.parts[0] != RECORDS and "__pycache__" not in place.parts:
                build_data["force_include"][str(file)] = f"omiga_torchrl/_recipes/{place.as_posix()}"
