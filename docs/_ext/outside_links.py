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
    address = app.config.repository

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        path = (page.parent / target).resolve()
        if path.is_relative_to(site):
            return match[0]
        name = str(path.relative_to(site.parent))
        if name in PAGES:
            up = "../" * docname.count("/")
            return f"[{label}]({up or './'}{PAGES[name]}{anchor})"
        return f"[{label}]({address}/blob/main/{name}{anchor})"

    source[0] = LINK.sub(replace, source[0])


def page_of(text: str, repository: str) -> str:
    """A file of the repository's root as a page in ``reference/``: its links lead to pages or the repository."""

    def replace(match: re.Match[str]) -> str:
        label, target, anchor = match.groups()
        if target in PAGES:
            return f"[{label}](../{PAGES[target]}{anchor})"
        if target.startswith("docs/"):
            return f"[{label}](../{target.removeprefix('docs/')}{anchor})"
        return f"[{label}]({repository}/blob/main/{target}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)((?:#[^)\s]*)?)\)", replace, text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.add_config_value("repository", "", "env")
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
