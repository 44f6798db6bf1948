"""Pages from the scripts in ``docs/tutorials``: comments below ``# %%`` are text, the rest is code."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx


def as_page(script: str) -> str:
    """A script as Markdown: its docstring, then text and code of every cell.

    Args:
        script: the text of the file.
    """
    _, intro, body = script.split('"""', 2)
    parts = [intro.strip()]
    for cell in re.split(r"^# %%\n", body, flags=re.M)[1:]:
        lines = cell.splitlines()
        end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        parts.append("\n".join(line[2:] for line in lines[:end]))
        code = "\n".join(lines[end:]).strip()
        parts.append(f"```python\n{code}\n```" if code else "")
    return "\n\n".join(filter(None, parts)) + "\n"


def generate(app: Sphinx) -> None:
    """Write a page beside every script."""
    for script in sorted((Path(app.srcdir) / "tutorials").glob("*.py")):
        text = as_page(script.read_text(encoding="utf-8"))
        page = script.with_suffix(".md")
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def link_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to scripts, as they work in the repository, lead to their pages."""
    source[0] = re.sub(
        r"(\]\((?:\.\./)?(?:tutorials/)?(?:own_data|own_environment|own_loss|memory_and_masks|choosing_alpha))\.py\)",
        r"\1.md)",
        source[0],
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx; before links to files outside of the site are rewritten."""
    app.connect("builder-inited", generate)
    app.connect("source-read", link_pages, priority=400)
    return {"parallel_read_safe": True}
