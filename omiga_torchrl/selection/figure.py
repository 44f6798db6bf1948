"""The ranking of policies as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omiga_torchrl.report.plots import COLOURS
from omiga_torchrl.selection.ranking import Selection

_MOST = 40  # policies that are drawn


def plot_selection(selection: Selection, path: str | Path, title: str = "") -> Path:
    """The policies by their fitted value, the best on top: one colour a critic.

    A small dot is a seed of the fit, the large one their mean, the bar their range, whose left end
    ranks. The chosen policy is in bold type; those without a rank are left out, and of more than 40 the
    worst.

    Args:
        selection: the ranking.
        path: PNG to write.
        title: heading, e.g. task and dataset.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:  # optional: extra "plot"
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'plot_selection: matplotlib is missing. pip install "omiga-torchrl[plot]"'
        ) from error
    shown = selection.ranked[:_MOST]
    # Without pyplot: no global state, no display, no figure left open.
    figure = Figure(figsize=(10.0, 1.6 + 0.28 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    heights = np.arange(len(shown))[::-1]
    for number, critic in enumerate(selection.critics):
        colour = COLOURS[number % len(COLOURS)]
        for height, one in zip(heights + 0.15 * number, shown, strict=True):
            values = one.values[critic]
            panel.scatter(values, [height] * len(values), s=9, color=colour, alpha=0.5, linewidth=0, zorder=3)
            label = f"{critic} critic" if one is shown[0] else None
            panel.scatter(
                [np.mean(values)], [height], s=36, color=colour, edgecolor="white", zorder=4, label=label
            )
            if len(values) > 1:
                panel.plot(
                    [min(values), max(values)], [height] * 2, color=colour, alpha=0.4, linewidth=2.0, zorder=2
                )
    panel.set_yticks(heights, [one.name for one in shown], fontsize=8)
    panel.get_yticklabels()[0].set_fontweight("bold")
    panel.set_xlabel("fitted value: discounted return from the data's first states, raw reward")
    panel.set_title(title, fontsize=11)
    panel.grid(color="#E6E6E6", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False, loc="lower right")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor="white")
    return path
