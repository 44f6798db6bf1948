"""Tables of the cells of a report: means, the algorithms of one cell, how often each is best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omiga_torchrl.benchmark.plateau import SAMPLE_SIZE
from omiga_torchrl.benchmark.scores import Checkpoint, Entry, Scores
from omiga_torchrl.benchmark.statistics import (
    LEAST_SEEDS,
    indistinguishable_from_best,
    percentile_interval,
    replicates,
)
from omiga_torchrl.benchmark.table_forms import MARKS, Table

REFERENCES = (
    ("data, mean return", "behaviour"),
    ("data, best episode", "data_best"),
    ("best behaviour checkpoint", "best_checkpoint"),
    ("random actions", "random"),
)


def number(value: float | None) -> str:
    """A score for people: four digits, all of large ones; empty for none.

    Examples:
        >>> number(2.8351), number(43401.2), number(-0.04512), number(None)
        ('2.835', '43401', '-0.0451', '')
    """
    if value is None:
        return ""
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:#.4g}" if size >= 1 else f"{value:#.3g}"


def spread(runs: Sequence[float]) -> str:
    """The spread of a cell's runs: a bootstrap interval of their mean, or the runs where they are few.

    Examples:
        >>> spread([1.0, 3.0, 2.0])
        '1.000, 2.000, 3.000'
    """
    if len(runs) < LEAST_SEEDS:
        return ", ".join(number(one) for one in sorted(runs))
    (drawn,) = replicates([np.asarray(runs)])
    low, high = percentile_interval(drawn.mean(-1))
    return f"[{number(low)}, {number(high)}]"


def overview(scores: Scores, checkpoint: Checkpoint = "final") -> Table:
    """Cells by algorithms: mean returns over seeds, then what the data hold.

    Bold are the best mean of a cell and those that no test tells from it, where any can be told; algorithms
    of which a run failed are not tested.

    Args:
        scores: of the report.
        checkpoint: the last policies, or the best checkpoints.
    """
    algorithms = scores.algorithms
    rows, bold = [], set()
    for i, cell in enumerate(scores.cells):
        row, top = [cell], best_of_cell(scores, cell, checkpoint)
        for j, algorithm in enumerate(algorithms):
            found = scores.entries.get((cell, algorithm))
            row.append("" if found is None else _mean_text(found, checkpoint))
            bold |= {(i, j + 1)} if algorithm in top else set()
        rows.append([*row, *(number(scores.references[cell].get(name)) for _, name in REFERENCES)])
    columns = ["", *algorithms, *(title for title, _ in REFERENCES)]
    return Table(columns, rows, bold=frozenset(bold))


def best_of_cell(scores: Scores, cell: str, checkpoint: Checkpoint = "final") -> set[str]:
    """The algorithms to emphasise in a cell, see :func:`indistinguishable_from_best`."""
    found = {
        algorithm: list(getattr(entry, checkpoint).values())
        for algorithm, entry in scores.in_cell(cell).items()
        if not entry.failed
    }
    return indistinguishable_from_best({name: runs for name, runs in found.items() if runs})


def ranking(scores: Scores, checkpoint: Checkpoint = "final") -> Table:
    """In how many of its cells an algorithm has the highest mean, and in how many no test tells it from that.

    Algorithms of which a run of the cell failed have neither; where no test tells any two apart, the others
    are all tied. Cells of one algorithm alone do not count.

    Args:
        scores: of the report.
        checkpoint: the last policies, or the best checkpoints.
    """
    counts = {name: np.zeros(4, dtype=int) for name in scores.algorithms}
    for cell in scores.cells:
        here = scores.in_cell(cell)
        if len(here) < 2:
            continue
        whole = {name: _mean(getattr(one, checkpoint)) for name, one in here.items() if not one.failed}
        means = {name: mean for name, mean in whole.items() if mean is not None}
        tied = best_of_cell(scores, cell, checkpoint) or set(means)
        for name, entry in here.items():
            highest = name in means and means[name] == max(means.values())
            counts[name] += (1, highest, name in tied, len(entry.failed))
    order = sorted(counts, key=lambda name: (-counts[name][2], -counts[name][1], name))
    columns = ["", "cells", "highest mean", "best or tied", "runs failed"]
    return Table(columns, [[name, *map(str, counts[name])] for name in order])


def cell_table(scores: Scores, cell: str) -> Table:
    """The algorithms of a cell, the best first, then its references.

    Args:
        scores: of the report.
        cell: its name.
    """
    found = scores.in_cell(cell)
    ranked = sorted(found, key=lambda name: _rank(found[name]))
    top = best_of_cell(scores, cell)
    rows = [_cell_row(name, found[name]) for name in ranked]
    bold = frozenset((i, 2) for i, name in enumerate(ranked) if name in top)
    first = len(rows)
    for title, name in REFERENCES:
        value = scores.references[cell].get(name)
        if value is not None:
            rows.append([title, "", number(value), "", "", "", "", ""])
    columns = ["", "seeds", "final policy", _spread_title(found.values()), "best checkpoint"]
    columns += ["last five in training", "values", "weights"]
    return Table(columns, rows, bold=bold, quiet=frozenset(range(first, len(rows))))


def _cell_row(name: str, entry: Entry) -> list[str]:
    moving = ", ".join(f"{count} {MARKS[trend]}" for trend, count in entry.moving.items())
    known = any(one.values.get("values") for one in entry.records)
    return [
        *(name, str(len(entry.final)), _mean_text(entry, "final"), spread(list(entry.final.values()))),
        *(number(_mean(entry.best)), number(_mean(entry.last_five))),
        *(moving or ("settled" if known else ""), _weights_text(entry)),
    ]


def _weights_text(entry: Entry) -> str:
    """The smallest and the largest share of a batch that weights of the runs rest on."""
    found = [one.values.get(SAMPLE_SIZE) for one in entry.records]
    ends = sorted({f"{one:.2f}" for one in found if one is not None})
    return " to ".join(dict.fromkeys((ends[0], ends[-1]))) if ends else ""


def _spread_title(entries: Iterable[Entry]) -> str:
    counts = {len(one.final) for one in entries}
    if min(counts) >= LEAST_SEEDS:
        return "95 % bootstrap"
    return "seeds' returns" if max(counts) < LEAST_SEEDS else "95 % bootstrap, or seeds' returns"


def _rank(entry: Entry) -> tuple[bool, float]:
    """Order of a cell's algorithms: without failed runs first, then by the mean."""
    mean = _mean(entry.final)
    return bool(entry.failed), np.inf if mean is None else -mean


def _mean_text(entry: Entry, checkpoint: Checkpoint) -> str:
    """The mean over seeds, and how many of them have failed: it is of those that survived."""
    values, failed = getattr(entry, checkpoint), len(entry.failed)
    told = f"{failed} of {len(entry.records) + failed} failed"
    return " ".join(part for part in (number(_mean(values)), f"({told})" if failed else "") if part)


def _mean(values: Mapping[int, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None
