"""`write_benchmark_report`: the page and the exports of a folder of records, made from nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from omiga_torchrl.benchmark.defaults import mixed_defaults
from omiga_torchrl.benchmark.exports import write_exports
from omiga_torchrl.benchmark.failures import Failure
from omiga_torchrl.benchmark.page import report_page
from omiga_torchrl.benchmark.pictures import aggregate_picture
from omiga_torchrl.benchmark.protocol import require_one_protocol
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.benchmark.scores import Scores, is_trial
from omiga_torchrl.files import atomic_write


def write_benchmark_report(
    records: Sequence[Record],
    out: str | Path,
    title: str,
    *,
    failures: Sequence[Failure] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Writes ``report.html``, ``iqm.svg`` (the IQM over cells) and the scores for other tools.

    The same records give the same bytes.

    Args:
        records: of one protocol, with the trials if it is a tuned one.
        out: folder to write to.
        title: heading.

    Keyword Args:
        failures: of runs without a record.
        notes: what is missing or was set aside.

    Returns:
        The page.

    Raises:
        DataError: there are no records, or several protocols.
        ImportError: matplotlib or scipy is not installed.
    """
    protocol = require_one_protocol(records)
    records, out = sorted(records, key=lambda one: one.key), Path(out)
    finals = [one for one in records if not is_trial(one)]
    scores = Scores.of(records, failures)
    notes = [*(one.note for one in failures), *mixed_defaults(records), *notes]
    exports = [path.name for path in write_exports(scores, finals, out)]
    links = {one.key: quote(Path(os.path.relpath(one.path, out)).as_posix()) for one in records}
    page = report_page(title, scores, records, protocol, notes=notes, links=links, exports=exports)
    files = {"report.html": page}
    if scores.has_aggregates:
        files["iqm.svg"] = aggregate_picture(scores, "IQM")
    for name, text in files.items():
        with atomic_write(out / name) as file:
            file.write(text.encode())
    return out / "report.html"
