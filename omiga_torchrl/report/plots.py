"""Learning curves as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omiga_torchrl.report.grouping import by_cell, separate_runs
from omiga_torchrl.report.records import Run
from omiga_torchrl.report.table import references

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":")
REFERENCE_STYLES = (("#555555", "--"), ("#555555", "-."), ("#AAAAAA", ":"))
COLUMNS = 3


def plot_learning_curves(runs: Sequence[Run], path: str | Path) -> Path:
    """One panel per task and dataset: mean over runs, band from the worst to the best run.

    The final evaluation is the large dot at the end. Horizontal lines show the behaviour's mean,
    its best checkpoint, and random actions.

    Args:
        runs: as read by :func:`load_runs`.
        path: PNG to write.

    Returns:
        The path.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no runs.
    """
    names = sorted({run.info.algorithm for run in separate_runs(runs).runs})
    # A second round of colours has another line.
    looks = {
        name: (COLOURS[i % len(COLOURS)], LINES[i // len(COLOURS) % len(LINES)])
        for i, name in enumerate(names)
    }
    return draw_cells("plot_learning_curves", runs, path, 4.4, partial(_draw_panel, looks=looks))


def draw_cells(
    component: str,
    runs: Sequence[Run],
    path: str | Path,
    height: float,
    draw: Callable[[Axes, Sequence[Run]], None],
) -> Path:
    """A picture with one panel per task and dataset.

    Args:
        component: who draws, for error messages.
        runs: as read by :func:`load_runs`.
        path: PNG to write.
        height: of a panel, in inches.
        draw: draws the runs of one cell.

    Returns:
        The path.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no runs.
    """
    try:  # optional: extra "plot"
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f'{component}: matplotlib is missing. pip install "omiga-torchrl[plot]"') from error
    if not runs:
        raise ValueError(f"{component}: no runs; expected at least one.")
    cells = by_cell(runs)
    columns = len(cells) if len(cells) <= COLUMNS else min(COLUMNS, math.ceil(math.sqrt(len(cells))))
    rows = -(-len(cells) // columns)
    # Without pyplot: no global state, no display, no figure left open.
    figure = Figure(figsize=(1.2 + 5.8 * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, ((task, dataset), members) in zip(axes, cells.items(), strict=False):
        draw(panel, members)
        panel.set_title(f"{task}, dataset {dataset}", fontsize=11)
        panel.grid(color="#E6E6E6", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[len(cells) :]:
        panel.set_visible(False)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    return path


def _draw_panel(panel: Axes, runs: Sequence[Run], looks: dict[str, tuple[str, str]]) -> None:
    for (name, value), (colour, style) in zip(references(runs).items(), REFERENCE_STYLES, strict=False):
        panel.axhline(
            value, color=colour, linestyle=style, linewidth=1.4, label=f"{name}: {value:.2f}", zorder=1
        )
    for algorithm in sorted({run.info.algorithm for run in runs}):
        _draw_algorithm(panel, [run for run in runs if run.info.algorithm == algorithm], *looks[algorithm])
    panel.set_xlabel("training steps")
    panel.set_ylabel("episode return (mean over episodes)")
    panel.margins(x=0.02)
    panel.legend(fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_algorithm(panel: Axes, runs: Sequence[Run], colour: str, line: str) -> None:
    steps, scores = training_curves(runs)
    name = runs[0].info.algorithm
    finals = [run.final for run in runs if run.final is not None]
    count = f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"
    label: Any = f"{name}, {count}"
    if finals:
        label += f": {np.mean([one.mean_return for one in finals]):.2f}"
    if steps.size:
        panel.plot(steps, scores.mean(0), color=colour, linestyle=line, linewidth=2.0, label=label, zorder=3)
        panel.fill_between(
            steps, scores.min(0), scores.max(0), color=colour, alpha=0.18, linewidth=0, zorder=2
        )
        label = None
    if finals:
        last = max(one.step for one in finals)
        means = [one.mean_return for one in finals]
        panel.scatter([last] * len(means), means, s=14, color=colour, alpha=0.7, linewidth=0, zorder=4)
        panel.scatter([last], [np.mean(means)], s=60, color=colour, edgecolor="white", label=label, zorder=5)


def training_curves(runs: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Mean returns of the evaluations during training, at the steps that all runs have.

    Args:
        runs: runs of one algorithm and cell.

    Returns:
        Steps `[S]` and mean returns `[runs, S]`; a run without training evaluations is left out.
    """
    curves = [{one.step: one.mean_return for one in run.labelled("training")} for run in runs]
    curves = [curve for curve in curves if curve]
    if not curves:
        return np.empty(0), np.empty((0, 0))
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    return np.asarray(shared), np.asarray([[curve[step] for step in shared] for curve in curves])
