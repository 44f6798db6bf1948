"""The final scores of many algorithms as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omiga_torchrl.report.grouping import separate_runs
from omiga_torchrl.report.plots import COLOURS, REFERENCE_STYLES, draw_cells
from omiga_torchrl.report.records import Run, final_scores
from omiga_torchrl.report.statistics import mean_confidence_interval
from omiga_torchrl.report.table import RANDOM, references

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_scores(runs: Sequence[Run], path: str | Path) -> Path:
    """One panel per task and dataset: the algorithms by their final mean return, the best on top.

    A small dot is a run, the large one their mean, and the bar Student's 95% interval of it. Vertical
    lines show the behaviour's mean, its best checkpoint, and random actions.

    Args:
        runs: as read by :func:`load_runs`.
        path: PNG to write.

    Returns:
        The path.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no runs.
    """
    algorithms = len({run.info.algorithm for run in separate_runs(runs).runs})
    return draw_cells("plot_scores", runs, path, 1.4 + 0.3 * algorithms, _draw_panel)


def _draw_panel(panel: Axes, runs: Sequence[Run]) -> None:
    low, high = _span(runs)
    for (name, value), (colour, style) in zip(references(runs).items(), REFERENCE_STYLES, strict=False):
        label = f"{name}: {value:.4g}" if low <= value <= high else f"{name}: {value:.4g} (not in sight)"
        panel.axvline(value, color=colour, linestyle=style, linewidth=1.4, label=label, zorder=1)
    names = sorted({run.info.algorithm for run in runs if run.final is not None}, reverse=True)
    scores = {name: final_scores(run for run in runs if run.info.algorithm == name) for name in names}
    ranked = sorted(names, key=lambda name: float(np.mean(scores[name])))
    for height, name in enumerate(ranked):
        found = scores[name]
        panel.scatter(found, [height] * len(found), s=12, color=COLOURS[0], alpha=0.6, linewidth=0, zorder=4)
        panel.scatter([np.mean(found)], [height], s=45, color=COLOURS[0], edgecolor="white", zorder=5)
        if len(found) > 1:
            interval = mean_confidence_interval(found)
            panel.plot(interval, [height] * 2, color=COLOURS[0], alpha=0.5, linewidth=2.5, zorder=3)
    panel.set_yticks(range(len(ranked)), ranked)
    panel.set_xlabel("final episode return")
    panel.set_xlim(low, high)  # a wide interval of one algorithm must not hide the others
    if references(runs):
        panel.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)


def _span(runs: Sequence[Run]) -> tuple[float, float]:
    """From the worst to the best run and reference, and a little more; random actions would be far off."""
    shown = final_scores(runs) + [x for name, x in references(runs).items() if name != RANDOM]
    if not shown:
        return 0.0, 1.0
    margin = 0.06 * (max(shown) - min(shown)) or 1.0
    return min(shown) - margin, max(shown) + margin
