"""Pictures of a report: small panels as SVG, the same bytes for the same records."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from omiga_torchrl.benchmark.aggregate_tables import aggregate_spread
from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.statistics import (
    LEAST_SEEDS,
    STATISTICS,
    percentile_interval,
    performance_profile,
    replicates,
)
from omiga_torchrl.benchmark.tables import REFERENCES
from omiga_torchrl.report.plots import COLOURS, LINES, training_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE: Final = (4.3, 2.9)  # inches: readable at the width of a phone
_GREY: Final = "#666666"
_REFERENCE_LINES: Final = ("--", ":", "-.", (0, (1, 4)))
Look = tuple[str, Any]


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Colour and line of every algorithm, the same in all panels; a second round has other lines."""
    return {
        name: (COLOURS[i % len(COLOURS)], LINES[i // len(COLOURS) % len(LINES)])
        for i, name in enumerate(names)
    }


def reference_looks() -> dict[str, Look]:
    """Colour and line of every reference."""
    return {title: (_GREY, line) for (title, _), line in zip(REFERENCES, _REFERENCE_LINES, strict=True)}


def panel(draw: Callable[[Axes], object], *, height: float = SIZE[1]) -> str:
    """A panel as SVG.

    Args:
        draw: draws into the axes.
        height: in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:  # optional: extra "plot"
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('benchmark: matplotlib is missing. pip install "omiga-torchrl[plot]"') from error
    # Names in the file depend on its content alone, and it holds no date.
    with rc_context({"svg.hashsalt": "omiga-torchrl", "font.size": 9}):
        figure = Figure(figsize=(SIZE[0], height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.grid(color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def aggregate_picture(scores: Scores, statistic: str) -> str:
    """A statistic of every algorithm over all cells as SVG, see :func:`draw_aggregate`.

    Args:
        scores: that have aggregates.
        statistic: one of ``STATISTICS``.
    """
    height = max(1.0 + 0.26 * len(scores.complete), 1.6)
    return panel(partial(draw_aggregate, scores, statistic), height=height)


def draw_curves(scores: Scores, cell: str, axes: Axes) -> None:
    """Learning curves of a cell: mean over seeds, band from the worst to the best; dots are final returns."""
    styles = looks(scores.algorithms)
    shown = [one for run in _runs(scores, cell) for one in (e.mean_return for e in run.evaluations)]
    low, high = min(shown), max(shown)
    for (title, name), (colour, line) in zip(REFERENCES, reference_looks().values(), strict=True):
        value = scores.references[cell].get(name)
        # Those far below or above would hide the curves.
        if value is not None and low - (high - low) <= value <= high + (high - low):
            axes.axhline(value, color=colour, linestyle=line, linewidth=1.1, label=title, zorder=1)
    for algorithm in scores.algorithms:
        runs = [run for run in _runs(scores, cell) if run.info.algorithm == algorithm]
        steps, curves = training_curves(runs)
        colour, line = styles[algorithm]
        if steps.size:
            axes.plot(steps, curves.mean(0), color=colour, linestyle=line, linewidth=1.6, zorder=3)
            axes.fill_between(
                steps, curves.min(0), curves.max(0), color=colour, alpha=0.15, linewidth=0, zorder=2
            )
        finals = [(run.final.step, run.final.mean_return) for run in runs if run.final is not None]
        if finals:
            steps_done, returns = zip(*finals, strict=True)
            axes.scatter(steps_done, returns, s=9, color=colour, linewidth=0, zorder=4)
    axes.locator_params(axis="x", integer=True, nbins=6)
    axes.set_xlabel("training steps")
    axes.set_ylabel("episode return")
    axes.margins(x=0.03)


def draw_histogram(data: Mapping[str, Any], axes: Axes) -> None:
    """Returns of the episodes of a dataset."""
    axes.stairs(
        data["histogram"]["counts"], data["histogram"]["edges"], color=COLOURS[0], fill=True, alpha=0.85
    )
    axes.axvline(data["return"]["mean"], color="#000000", linewidth=1.4)
    axes.set_xlabel("return of an episode in the data; line: mean")
    axes.set_ylabel("episodes")
    axes.locator_params(axis="y", integer=True)


def draw_profiles(scores: Scores, axes: Axes) -> None:
    """Share of runs above each scaled return, with 95 % bands from five seeds on."""
    styles, names = looks(scores.algorithms), scores.complete
    tasks = {name: scores.scaled(name) for name in names}
    every = np.concatenate([one for found in tasks.values() for one in found])
    levels = np.linspace(min(0.0, float(every.min())), float(every.max()) * 1.02, 101)
    for name in names:
        colour, line = styles[name]
        share = performance_profile(tasks[name], levels)
        axes.plot(
            levels, share, color=colour, linestyle=line, linewidth=1.6, drawstyle="steps-post", zorder=3
        )
        if min(one.size for one in tasks[name]) >= LEAST_SEEDS:
            drawn = performance_profile(replicates(tasks[name], 500), levels)
            bands = np.array([percentile_interval(column) for column in drawn.T])
            axes.fill_between(
                levels, bands[:, 0], bands[:, 1], step="post", color=colour, alpha=0.15, linewidth=0
            )
    axes.set_xlabel("scaled return: random 0, best behaviour 1")
    axes.set_ylabel("share of runs above it")
    axes.set_ylim(-0.02, 1.02)


def draw_aggregate(scores: Scores, statistic: str, axes: Axes) -> None:
    """A statistic of every algorithm over all cells, with its interval, or a dot for every seed."""
    styles, function = looks(scores.algorithms), STATISTICS[statistic]
    values = {name: float(function(scores.scaled(name))) for name in scores.complete}
    sign = -1 if statistic == "optimality gap" else 1
    ranked = sorted(values, key=lambda name: sign * values[name])
    for height, name in enumerate(ranked):
        colour = styles[name][0]
        interval, points = aggregate_spread(scores, name, function)
        if interval is not None:
            axes.plot(interval, [height] * 2, color=colour, linewidth=5, alpha=0.4, solid_capstyle="butt")
        else:
            axes.scatter(points, [height] * len(points), s=12, color=colour, alpha=0.6, linewidth=0)
        axes.scatter([values[name]], [height], s=42, color=colour, edgecolor="white", zorder=4)
    axes.set_yticks(range(len(ranked)), ranked)
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(statistic + (" (less is better)" if sign < 0 else "") + ", scaled return")


def _runs(scores: Scores, cell: str) -> list[Any]:
    return [run for run in scores.runs if f"{run.info.task}/{run.info.dataset}" == cell]
