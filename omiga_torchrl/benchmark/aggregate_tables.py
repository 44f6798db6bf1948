"""Tables over the cells of a report: statistics of scaled returns, kinds of data, seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omiga_torchrl.benchmark.scores import Checkpoint, Entry, Scores, outside_data
from omiga_torchrl.benchmark.statistics import (
    LEAST_SEEDS,
    STATISTICS,
    Array,
    Statistic,
    percentile_interval,
    probability_of_improvement,
    replicates,
)
from omiga_torchrl.benchmark.table_forms import MARKS, Table
from omiga_torchrl.benchmark.tables import number


def aggregates(scores: Scores, checkpoint: Checkpoint = "final") -> Table:
    """The algorithms over all cells, on scaled returns: every statistic with its spread.

    Args:
        scores: of the report.
        checkpoint: the last policies, or the best checkpoints.
    """
    rows = []
    for algorithm in scores.complete:
        tasks = scores.scaled(algorithm, checkpoint)
        if not all(one.size for one in tasks):
            continue
        cells = [aggregate_text(scores, algorithm, one, checkpoint) for one in STATISTICS.values()]
        rows.append((float(STATISTICS["mean"](tasks)), [algorithm, str(sum(t.size for t in tasks)), *cells]))
    ranked = [row for _, row in sorted(rows, key=lambda one: -one[0])]
    return Table(["", "runs", *STATISTICS], ranked)


def aggregate_text(scores: Scores, algorithm: str, statistic: Statistic, checkpoint: Checkpoint) -> str:
    """A statistic over all cells with its spread, see :func:`aggregate_spread`."""
    value = float(statistic(scores.scaled(algorithm, checkpoint)))
    interval, points = aggregate_spread(scores, algorithm, statistic, checkpoint)
    if interval is not None:
        return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
    shown = ", ".join(f"{one:.2f}" for one in sorted(points))
    return f"{value:.2f} ({shown})" if len(points) > 1 else f"{value:.2f}"


def aggregate_spread(
    scores: Scores, algorithm: str, statistic: Statistic, checkpoint: Checkpoint = "final"
) -> tuple[tuple[float, float] | None, list[float]]:
    """The spread of a statistic over all cells.

    Args:
        scores: of the report.
        algorithm: one that has runs in all of them.
        statistic: one of :data:`omiga_torchrl.benchmark.statistics.STATISTICS`.
        checkpoint: the last policies, or the best checkpoints.

    Returns:
        The 95 % interval of the stratified bootstrap, ``None`` with fewer than five seeds in a cell; and the
        statistic of every seed that is in all cells.
    """
    by_seed = scores.scaled_by_seed(algorithm, checkpoint)
    shared = sorted(set.intersection(*(set(one) for one in by_seed)))
    points = [float(statistic([np.array([one[seed]]) for one in by_seed])) for seed in shared]
    if min(len(one) for one in by_seed) < LEAST_SEEDS:
        return None, points
    tasks = [np.array(list(one.values())) for one in by_seed]
    return percentile_interval(statistic(replicates(tasks))), points


def improvements(scores: Scores) -> Table:
    """The probability that a run of the row's algorithm beats one of the column's, a mean over cells.

    Args:
        scores: of the report.
    """
    tasks = {name: scores.scaled(name) for name in scores.complete}
    names = [name for name, found in tasks.items() if all(one.size for one in found)]
    rows = [
        [one, *("" if one == two else f"{_beats(tasks[one], tasks[two]):.2f}" for two in names)]
        for one in names
    ]
    return Table(["", *names], rows)


def _beats(one: Sequence[Array], two: Sequence[Array]) -> float:
    return float(probability_of_improvement(one, two))


def by_dataset(scores: Scores, checkpoint: Checkpoint = "final") -> Table:
    """Mean scaled returns on every kind of data: datasets of one name, such as all that are ``expert``.

    Args:
        scores: of the report.
        checkpoint: the last policies, or the best checkpoints.
    """
    scaled = {name: scores.scaled(name, checkpoint) for name in scores.complete}
    kinds: dict[str, list[int]] = {}
    for i, cell in enumerate(scores.scaled_cells):
        kinds.setdefault(cell.rpartition("/")[2], []).append(i)
    rows = [
        [kind, str(len(cells)), *(_mean_of([found[i] for i in cells]) for found in scaled.values())]
        for kind, cells in kinds.items()
    ]
    return Table(["", "cells", *scaled], rows)


def _mean_of(cells: Sequence[Array]) -> str:
    """Of cells, each with the same weight however many runs it has."""
    return f"{np.mean([one.mean() for one in cells]):.2f}" if all(one.size for one in cells) else ""


def seed_table(scores: Scores, checkpoint: Checkpoint = "final") -> Table:
    """Cells by algorithms: the return of every seed, with a mark where its learned values were no good.

    Args:
        scores: of the report.
        checkpoint: the last policies, or the best checkpoints.
    """
    names = scores.algorithms
    rows = []
    for cell in scores.cells:
        here = scores.in_cell(cell)
        rows.append([cell, *(_seeds_text(here[name], checkpoint) if name in here else "" for name in names)])
    return Table(["", *names], rows)


def _seeds_text(entry: Entry, checkpoint: Checkpoint) -> str:
    marks = {one.values["seed"]: MARKS.get(outside_data(one) or "", "") for one in entry.records}
    found = getattr(entry, checkpoint)
    return ", ".join(f"{number(value)}{marks[seed]}" for seed, value in sorted(found.items()))
