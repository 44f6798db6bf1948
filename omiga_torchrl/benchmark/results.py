"""Results that are under version control: reports and tables of pages, made from nothing but records.

Run ``make results``, that is ``python -m omiga_torchrl.benchmark.results recipes/results`` and the pages.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omiga_torchrl.benchmark.aggregate_tables import aggregates, by_dataset, seed_table
from omiga_torchrl.benchmark.exports import both_tables
from omiga_torchrl.benchmark.failures import load_failures
from omiga_torchrl.benchmark.records import load_records
from omiga_torchrl.benchmark.report import write_benchmark_report
from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.tables import ranking
from omiga_torchrl.errors import DataError
from omiga_torchrl.files import atomic_write

# A table of records in a page.
BLOCK = re.compile(r"<!-- results: (?P<name>[\w-]+) -->\n.*?<!-- end of results -->", re.S)


def render_results(folder: str | Path) -> dict[str, str]:
    """Writes the report of every folder of records, and gives the tables of their scores.

    Args:
        folder: with ``<name>/records`` for every table.

    Returns:
        Name to the tables in Markdown: ``<name>``, ``<name>-seeds``; with several cells and algorithms
        ``<name>-ranking``; ``<name>-aggregates`` and ``<name>-datasets`` if an algorithm has runs in all of
        several cells.

    Raises:
        FileNotFoundError: there is no such folder.
        DataError: a record was set aside: results under version control have to be whole.

    Examples:
        >>> import tempfile
        >>> render_results(tempfile.mkdtemp())
        Traceback (most recent call last):
            ...
        FileNotFoundError: benchmark: ... has no <name>/records; expected the records of a suite.
    """
    folders = sorted(path.parent for path in Path(folder).glob("*/records"))
    if not folders:
        raise FileNotFoundError(
            f"benchmark: {folder} has no <name>/records; expected the records of a suite."
        )
    tables: dict[str, str] = {}
    for one in folders:
        found = load_records(one / "records")
        if found.notes:
            raise DataError(f"benchmark: {found.notes[0]}")
        failures = load_failures(one / "records")
        write_benchmark_report(found.records, one, f"Results: {one.name}", failures=failures)
        scores = Scores.of(found.records, failures)
        tables |= {f"{one.name}{kind}": text.strip() for kind, text in _texts(scores).items()}
    return tables


def _texts(scores: Scores) -> dict[str, str]:
    found = {"": both_tables(scores, "md"), "-seeds": seed_table(scores).to_markdown()}
    if scores.has_ranking:
        found["-ranking"] = ranking(scores).to_markdown()
    if scores.has_aggregates:
        found |= {
            "-aggregates": aggregates(scores).to_markdown(),
            "-datasets": by_dataset(scores).to_markdown(),
        }
    return found


def fill_page(text: str, tables: Mapping[str, str]) -> str:
    """A page with its tables, between ``<!-- results: NAME -->`` and ``<!-- end of results -->``.

    Args:
        text: the page.
        tables: of :func:`render_results`.

    Raises:
        DataError: the page asks for a table of which there are no records.

    Examples:
        >>> page = chr(10).join(["<!-- results: quick -->", "old", "<!-- end of results -->"])
        >>> fill_page(page, {"quick": "new"}).splitlines()[2]
        'new'
    """

    def filled(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in tables:
            raise DataError(
                f"benchmark: the page has a table of {name!r}, of which there are no records; expected one "
                f"of {', '.join(sorted(tables)) or 'none'}."
            )
        return f"<!-- results: {name} -->\n\n{tables[name]}\n\n<!-- end of results -->"

    return BLOCK.sub(filled, text)


def main(arguments: Sequence[str]) -> None:
    """Renders the folder and fills the pages that are given."""
    folder, *pages = arguments
    tables = render_results(folder)
    for page in map(Path, pages):
        text = fill_page(page.read_text(encoding="utf-8"), tables)
        with atomic_write(page) as file:
            file.write(text.encode())
    sys.stdout.write(f"{', '.join(tables)}: reports in {folder}, tables in {', '.join(pages) or 'no page'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
