"""Links of pages to files outside of the site lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\.?/[^)\s#]+)((?:#[^)\s]*)?)\)")
# Files outside of docs/ that are pages of the site as well.
PAGES = {"CHANGELOG.md": "reference/changelog.md", "CONTRIBUTING.md": "reference/contributing.md"}


def rewrite(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the links in the text of a page."""
    page = Path(app.env.doc2path(docname))
    site = Path(app.srcdir).resolve()
    base = site.parent if docname in ("reference/changelog", "reference/contributing") else page.parent
    address = app.config.repository

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        path = (base / target).resolve()
        if path.is_relative_to(site):
            return match[0]
        name = str(path.relative_to(site.parent))
        if name in PAGES:
            up = "../" * docname.count("/")
            return f"[{label}]({up or './'}{PAGES[name]}{anchor})"
        return f"[{label}]({address}/blob/main/{name}{anchor})"

    source[0] = LINK.sub(replace, source[0])


def include_outside(app: Sphinx, relative: Path, parent: str, content: list[str]) -> None:
    """Links in files of the repository's root that a page includes."""
    if relative.suffix != ".md":
        return
    up = "../" * parent.count("/")

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        if re.match(r"\w+:|#", target):
            return match[0]
        if target in PAGES:
            return f"[{label}]({up}{PAGES[target]}{anchor})"
        if target.startswith("docs/"):
            return f"[{label}]({up}{target.removeprefix('docs/')}{anchor})"
        return f"[{label}]({app.config.repository}/blob/main/{target}{anchor})"

    content[0] = re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)((?:#[^)\s]*)?)\)", replace, content[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_config_value("repository", "", "env")
    app.connect("source-read", rewrite)
    app.connect("include-read", include_outside)
    return {"parallel_read_safe": True}
