"""`write_report`: the table and the picture of a folder of runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omiga_torchrl.files import storage_errors
from omiga_torchrl.report.aggregate import AGGREGATE_NOTES, aggregate_scores, format_aggregates
from omiga_torchrl.report.grouping import separate_runs
from omiga_torchrl.report.plots import plot_learning_curves
from omiga_torchrl.report.records import Run, load_runs
from omiga_torchrl.report.scores_figure import plot_scores
from omiga_torchrl.report.table import NOTES, format_table, table_rows


class ReportPaths(NamedTuple):
    """Files written by :func:`write_report`.

    Attributes:
        markdown: the tables with notes.
        picture: the learning curves.
        scores: the final scores.
    """

    markdown: Path
    picture: Path
    scores: Path


def write_report(root: str | Path, out: str | Path) -> ReportPaths:
    """Writes ``report.md``, ``report.png`` and ``scores.png`` about all runs below ``root``.

    What :func:`omiga_torchrl.report.separate_runs` kept apart is said below the table.

    Args:
        root: folder of runs, written by :class:`RunWriter`.
        out: folder to write to.

    Returns:
        The paths.

    Raises:
        FileNotFoundError: no runs below ``root``.
        DataError: damaged records, or runs with different data under one name.
        ImportError: matplotlib is not installed; the table is written nevertheless.
        StorageError: ``out`` cannot be written.
    """
    runs, notes = separate_runs(load_runs(root))
    out = Path(out)
    parts = ["# Results", format_table(table_rows(runs)), NOTES]
    if notes:
        parts += ["## Separated", "\n".join(f"- {note}" for note in notes)]
    overall = aggregate_scores(runs)
    if overall:
        parts += ["## Over all cells", format_aggregates(overall), AGGREGATE_NOTES]
    parts += ["![Final scores](scores.png)", "![Learning curves](report.png)", _settings(runs)]
    with storage_errors(out, "out="):
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        curves = plot_learning_curves(runs, out / "report.png")
        return ReportPaths(out / "report.md", curves, plot_scores(runs, out / "scores.png"))


def _settings(runs: Sequence[Run]) -> str:
    """Settings of each algorithm, once per distinct one."""
    lines = ["## Settings", ""]
    seen: set[str] = set()
    for run in runs:
        info = run.info
        settings = json.dumps(info.hyperparameters, sort_keys=True, default=str)
        line = f"- **{info.algorithm}** on {info.task} / {info.dataset}: `{settings}`"
        if line not in seen:
            seen.add(line)
            lines.append(line)
    versions = sorted({f"{name} {version}" for run in runs for name, version in run.info.versions.items()})
    return "\n".join([*lines, "", f"Versions: {', '.join(versions)}."])
