"""The table of results: one row per algorithm, and what the data hold for comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.report.grouping import by_cell
from omiga_torchrl.report.records import Run, final_scores
from omiga_torchrl.report.statistics import interquartile_mean, mean_confidence_interval, stratified_bootstrap

Style = Literal["markdown", "terminal"]

BEST_CHECKPOINT, RANDOM = "best behaviour checkpoint", "random actions"
REFERENCES = (
    ("behaviour (dataset mean)", "behaviour_return"),
    (BEST_CHECKPOINT, "best_checkpoint_return"),
    (RANDOM, "random_return"),
)
COLUMNS = (
    *("task", "dataset", "algorithm", "seeds", "final mean", "final IQM"),
    *("95% bootstrap", "95% Student t", "best in training"),
)
NOTES = """\
Raw episode returns. A run is one training seed; its score is the mean over the episodes of the final
evaluation. Mean and IQM are over runs (IQM drops floor(runs / 4) at each end: below four runs it is the
mean). The bootstrap resamples runs, not episodes: with three runs it is the range from the worst to the
best. Student's t allows for unseen runs, if they are roughly normal. "Best in training" is the mean over
runs of each run's best evaluation during training; choosing the best afterwards favours it, so it is no
result."""


@dataclass(frozen=True)
class Row:
    """A row of the table; ``None`` where a column does not apply.

    Attributes:
        task: name of the task.
        dataset: name of the dataset.
        algorithm: the algorithm, or what a reference row refers to.
        seeds: number of finished runs.
        mean: mean over runs of the final score.
        iqm: interquartile mean over runs.
        bootstrap: 95% bootstrap interval of the mean, over runs.
        student: 95% Student interval of the mean, over runs.
        best: mean over runs of the best evaluation during training.
    """

    task: str
    dataset: str
    algorithm: str
    seeds: int | None
    mean: float | None
    iqm: float | None = None
    bootstrap: tuple[float, float] | None = None
    student: tuple[float, float] | None = None
    best: float | None = None

    def cells(self) -> list[str]:
        """The row as text, in the order of ``COLUMNS``."""
        return [
            *(self.task, self.dataset, self.algorithm),
            "" if self.seeds is None else str(self.seeds),
            *(format_number(self.mean), format_number(self.iqm), format_interval(self.bootstrap)),
            *(format_interval(self.student), format_number(self.best)),
        ]


def table_rows(runs: Iterable[Run]) -> list[Row]:
    """The rows of all runs: per task and dataset the algorithms, best first, then the references.

    Runs without a final evaluation count for no algorithm's score; an algorithm that has only such
    runs is shown with 0 seeds.

    Args:
        runs: as read by :func:`load_runs`.

    Raises:
        DataError: the runs of a cell do not agree on a reference return.
    """
    rows = []
    for cell, members in by_cell(runs).items():
        names = sorted({run.info.algorithm for run in members})
        found = [
            _algorithm_row(*cell, name, [r for r in members if r.info.algorithm == name]) for name in names
        ]
        rows += sorted(found, key=lambda row: -np.inf if row.mean is None else row.mean, reverse=True)
        for name, value in references(members).items():
            rows.append(Row(*cell, name, None, value))
    return rows


def references(runs: Sequence[Run]) -> dict[str, float]:
    """The reference returns of a cell, by their names in the table.

    Args:
        runs: runs of one task and dataset.

    Raises:
        DataError: the runs do not agree: they were not made with the same data.
    """
    found: dict[str, float] = {}
    for name, attribute in REFERENCES:
        values = {getattr(run.info, attribute) for run in runs} - {None}
        if len(values) > 1:
            task, dataset = runs[0].info.cell
            raise DataError(
                f"report: runs on {task} / {dataset} have {attribute} {sorted(values)}; expected one value. "
                f"They used different data: keep them in separate folders."
            )
        if values:
            found[name] = float(values.pop())
    return found


def format_table(rows: Sequence[Row], style: Style = "markdown") -> str:
    """The rows as text.

    Args:
        rows: as made by :func:`table_rows`.
        style: ``"markdown"``, or ``"terminal"`` with aligned columns.

    Raises:
        ValueError: unknown style.

    Examples:
        >>> row = Row("game", "mixed", "random actions", None, -0.5)
        >>> format_table([row]).splitlines()[-1]
        '| game | mixed | random actions |  | -0.500 |  |  |  |  |'
    """
    return format_cells([list(COLUMNS), *(row.cells() for row in rows)], style, names=3)


def format_cells(lines: Sequence[Sequence[str]], style: Style, *, names: int) -> str:
    """Lines of text as a table.

    Args:
        lines: the columns' titles, then the rows.
        style: ``"markdown"`` or ``"terminal"``.

    Keyword Args:
        names: so many columns are names; the others are numbers, to the right.

    Raises:
        ValueError: unknown style.

    Examples:
        >>> print(format_cells([["task", "mean"], ["game", "1.0"]], "terminal", names=1))
        task  mean
        ----------
        game   1.0
    """
    if style not in get_args(Style):
        raise unknown_name("format_table", "style", style, get_args(Style))
    width = len(lines[0])
    if style == "markdown":
        rule = ["---"] * names + ["---:"] * (width - names)
        return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
    widths = [max(len(line[i]) for line in lines) for i in range(width)]
    text = [
        "  ".join(
            c.ljust(w) if i < names else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in (text[0], "-" * len(text[0]), *text[1:]))


def _algorithm_row(task: str, dataset: str, algorithm: str, runs: Sequence[Run]) -> Row:
    scores = final_scores(runs)
    best = [max(e.mean_return for e in run.labelled("training")) for run in runs if run.labelled("training")]
    best_mean = float(np.mean(best)) if best else None
    if not scores:
        return Row(task, dataset, algorithm, 0, None, best=best_mean)
    return Row(
        *(task, dataset, algorithm, len(scores), float(np.mean(scores))),
        iqm=interquartile_mean(scores),
        # One run says nothing about the spread between runs.
        bootstrap=stratified_bootstrap(scores) if len(scores) > 1 else None,
        student=mean_confidence_interval(scores) if len(scores) > 1 else None,
        best=best_mean,
    )


def format_number(value: float | None) -> str:
    """A number of a table; None is an empty cell."""
    return "" if value is None else f"{value:.3f}"


def format_interval(value: tuple[float, float] | None) -> str:
    """An interval of a table; None is an empty cell."""
    return "" if value is None else f"[{value[0]:.3f}, {value[1]:.3f}]"
