"""Tutorials: scripts whose comments are text, shown with what they print and draw."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sphinx.application import Sphinx

MARK = "# %%\n"


class Cell(NamedTuple):
    """A piece of a script: the comment at its beginning, and its code."""

    text: str
    code: str


def split(script: str) -> list[Cell]:
    """The cells of a script; the first one is its docstring.

    Args:
        script: a docstring, then cells that begin with a line ``# %%`` and comments.
    """
    head, *parts = script.split(MARK)
    cells = [Cell(head.strip().strip('"').strip(), "")]
    for part in parts:
        lines = part.splitlines()
        end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])
        cells.append(Cell(text, "\n".join(lines[end:]).strip("\n")))
    return cells


def run(script: Path, pictures: Path) -> list[dict[str, Any]]:
    """Runs the cells one after the other; text, code, print-out and pictures of each.

    Args:
        script: the file.
        pictures: folder for what the cells draw.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names: dict[str, Any] = {"__name__": "__main__"}
    found = []
    for number, cell in enumerate(split(script.read_text(encoding="utf-8"))):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(cell.code, str(script), "exec"), names)
        drawn = []
        for figure in map(plt.figure, plt.get_fignums()):
            drawn.append(f"{script.stem}_{number}_{figure.number}.png")
            figure.savefig(pictures / drawn[-1], dpi=144)
        plt.close("all")
        found.append({**cell._asdict(), "printed": printed.getvalue(), "pictures": drawn})
    return found


def page(cells: list[dict[str, Any]], pictures: str) -> str:
    """A page of cells that have run, in MyST Markdown.

    Args:
        cells: of :func:`run`.
        pictures: folder of the pictures, from the page.
    """
    parts = []
    for cell in cells:
        parts.append(cell["text"])
        if cell["code"]:
            parts.append(f"```python\n{cell['code']}\n```")
        if cell["printed"]:
            parts.append(f"```{{code-block}} text\n:class: printed\n\n{cell['printed'].rstrip()}\n```")
        parts += [f"![what the code above draws]({pictures}/{name})" for name in cell["pictures"]]
    return "\n\n".join(parts) + "\n"


def run_apart(script: Path, pictures: Path) -> list[dict[str, Any]]:
    """:func:`run` in a process and a folder of its own; again only if the script has changed."""
    pictures.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(script.read_bytes()).hexdigest()[:16]
    kept = pictures / f"{script.stem}_{digest}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, str(script.resolve()), str(pictures.resolve())]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"docs: {script} failed:\n{done.stderr}")
        kept.write_text(done.stdout, encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def generate(app: Sphinx) -> None:
    """Run every script that has changed, one a core, and write a page beside it."""
    scripts = sorted((Path(app.srcdir) / "tutorials").glob("*.py"))
    pictures = Path(app.srcdir) / "tutorials" / "_run"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ran = list(pool.map(partial(run_apart, pictures=pictures), scripts))
    for script, cells in zip(scripts, ran, strict=True):
        text, place = page(cells, pictures.name), script.with_suffix(".md")
        if not place.exists() or place.read_text(encoding="utf-8") != text:
            place.write_text(text, encoding="utf-8")


def link_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to scripts, as they work in the repository, lead to their pages."""
    folder, site = Path(app.srcdir) / "tutorials", Path(app.srcdir)

    def replace(match: re.Match[str]) -> str:
        script = (site / docname).parent / f"{match[1]}.py"
        return f"]({match[1]}.md)" if script.resolve().parent == folder.resolve() else match[0]

    source[0] = re.sub(r"\]\(([\w./]+)\.py\)", replace, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx; before links to files outside of the site are rewritten."""
    app.connect("builder-inited", generate)
    app.connect("source-read", link_pages, priority=400)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
