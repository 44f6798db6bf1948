"""Pages that are written from the library itself: algorithms, API, published data sets."""

from __future__ import annotations

from pathlib import Path

from algorithm_pages import algorithm_index, algorithm_page
from api_pages import MODULES, api_index, api_page, homes
from outside_links import PAGES, page_of
from published_page import published_page
from sphinx.application import Sphinx

from omiga_torchrl.algorithms import ALGORITHMS


def write(path: Path, text: str) -> None:
    """Write a page, unless it is there with this text: Sphinx then reads it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def generate(app: Sphinx) -> None:
    """Write all pages."""
    site = Path(app.srcdir)
    write(site / "algorithms" / "index.md", algorithm_index())
    for name in ALGORITHMS:
        write(site / "algorithms" / f"{name}.md", algorithm_page(name, site))
    places = homes()
    write(site / "api" / "index.md", api_index())
    for module in MODULES:
        write(site / "api" / f"{module}.md", api_page(module, places))
    write(site / "data" / "published.md", published_page())
    for name, page in PAGES.items():
        text = (site.parent / name).read_text(encoding="utf-8")
        write(site / page, page_of(text, app.config.repository))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", generate)
    return {"parallel_read_safe": True}
