"""One number for each algorithm over several tasks and datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omiga_torchrl.report.grouping import by_cell
from omiga_torchrl.report.records import Run
from omiga_torchrl.report.statistics import interquartile_mean, iqm, stratified_bootstrap
from omiga_torchrl.report.table import (
    BEST_CHECKPOINT,
    RANDOM,
    Style,
    format_cells,
    format_interval,
    format_number,
    references,
)

AGGREGATE_COLUMNS = ("algorithm", "cells", "runs", "mean", "95% bootstrap", "IQM", "95% bootstrap")
AGGREGATE_NOTES = """\
Final returns, scaled so that random actions are 0 and the best behaviour checkpoint is 1, over all runs of
all cells (a cell is a task with a dataset). The bootstrap resamples the runs within each cell. The
interquartile mean leaves out the lowest and the highest quarter of the runs: with few cells that may be all
runs of the cell in which an algorithm fails, which the mean shows. Algorithms that have no runs in some
cell are left out."""


@dataclass(frozen=True)
class Aggregate:
    """An algorithm over all cells.

    Attributes:
        algorithm: its name.
        cells: number of cells.
        runs: number of finished runs in them.
        mean: mean scaled return of all runs.
        mean_interval: 95% stratified bootstrap interval of it.
        iqm: interquartile mean of all runs.
        iqm_interval: 95% stratified bootstrap interval of it.
    """

    algorithm: str
    cells: int
    runs: int
    mean: float
    mean_interval: tuple[float, float]
    iqm: float
    iqm_interval: tuple[float, float]

    def as_text(self) -> list[str]:
        """The row as text, in the order of ``AGGREGATE_COLUMNS``."""
        return [
            *(self.algorithm, str(self.cells), str(self.runs)),
            *(format_number(self.mean), format_interval(self.mean_interval)),
            *(format_number(self.iqm), format_interval(self.iqm_interval)),
        ]


def aggregate_scores(runs: Iterable[Run]) -> list[Aggregate]:
    """The algorithms that have finished runs in every cell, the best mean first; none with a single cell.

    A cell without the returns of random actions and of the best behaviour checkpoint has no scale and is
    left out.

    Args:
        runs: as read by :func:`load_runs`.

    Raises:
        DataError: the runs of a cell do not agree on a reference return.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    scaled = 0
    for cell, members in by_cell(runs).items():
        found = references(members)
        low, high = found.get(RANDOM), found.get(BEST_CHECKPOINT)
        if low is None or high is None or low == high:
            continue
        scaled += 1
        for run in members:
            if run.final is not None:
                score = (run.final.mean_return - low) / (high - low)
                scores.setdefault(run.info.algorithm, {}).setdefault(" ".join(cell), []).append(score)
    rows = [_row(name, found) for name, found in scores.items() if len(found) == scaled > 1]
    return sorted(rows, key=lambda row: row.mean, reverse=True)


def format_aggregates(rows: Sequence[Aggregate], style: Style = "markdown") -> str:
    """The rows as text.

    Args:
        rows: as made by :func:`aggregate_scores`.
        style: ``"markdown"``, or ``"terminal"`` with aligned columns.

    Raises:
        ValueError: unknown style.

    Examples:
        >>> row = Aggregate("bc", 2, 6, 0.5, (0.4, 0.6), 0.4, (0.3, 0.5))
        >>> format_aggregates([row]).splitlines()[-1]
        '| bc | 2 | 6 | 0.500 | [0.400, 0.600] | 0.400 | [0.300, 0.500] |'
    """
    return format_cells([list(AGGREGATE_COLUMNS), *(row.as_text() for row in rows)], style, names=1)


def _row(algorithm: str, scores: dict[str, list[float]]) -> Aggregate:
    every = [score for found in scores.values() for score in found]
    return Aggregate(
        *(algorithm, len(scores), len(every)),
        *(sum(every) / len(every), stratified_bootstrap(scores)),
        *(interquartile_mean(every), stratified_bootstrap(scores, iqm)),
    )
