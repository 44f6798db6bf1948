"""`plot_dataset`: returns, lengths, rewards and actions of a dataset as histograms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from omiga_torchrl.data.ends import KINDS
from omiga_torchrl.data.statistics.dataset_statistics import DatasetStatistics
from omiga_torchrl.data.statistics.distributions import Histogram, Spread, count_between
from omiga_torchrl.data.statistics.scan import GroupStatistics
from omiga_torchrl.report.plots import COLOURS, COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and line of the dataset's mean, the best policy and random actions, on blue bars.
MARKS = (("#000000", "-"), ("#D55E00", "--"), ("#000000", ":"))
# Of episodes that terminated, timed out, and were cut.
KIND_COLOURS = (COLOURS[2], COLOURS[0], "#999999")
# Bars so much lower than the highest one cannot be seen on a linear scale.
_LOG_FROM = 100


def short_number(value: float) -> str:
    """A number for people: whole ones without decimals, others with at least three digits.

    Examples:
        >>> short_number(100.0), short_number(1.0405), short_number(0.0123), short_number(1425.66)
        ('100', '1.040', '0.0123', '1425.7')
    """
    if float(value).is_integer():
        return str(int(value))
    size = abs(value)
    return f"{value:.1f}" if size >= 1000 else f"{value:.3f}" if size >= 0.1 else f"{value:.3g}"


def plot_dataset(statistics: DatasetStatistics, path: str | Path, title: str = "Dataset") -> Path:
    """Write the picture of :func:`draw_dataset`.

    Args:
        statistics: of :func:`omiga_torchrl.data.dataset_statistics`.
        path: PNG to write.
        title: heading, e.g. the dataset's name.

    Returns:
        The path.

    Raises:
        ImportError: matplotlib is not installed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_dataset(statistics, title).savefig(path, dpi=150, facecolor="white")
    return path


def draw_dataset(statistics: DatasetStatistics, title: str = "Dataset") -> Figure:
    """Histograms of returns, lengths and rewards, and panels of the actions.

    A plain team has one panel for each action feature, in which up to seven agents are drawn apart, more of
    them together. A team of groups has one for each group, with the features of its actions, or its agents
    where these are discrete.

    Args:
        statistics: of :func:`omiga_torchrl.data.dataset_statistics`.
        title: heading, e.g. the dataset's name.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:  # optional: extra "plot"
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot_dataset: matplotlib is missing. pip install "omiga-torchrl[plot]"') from error
    features = len(statistics.action.minimum[0]) if statistics.is_plain else 0
    count = 3 + (features if statistics.is_plain else len(statistics.groups))
    lines = -(-count // COLUMNS)
    # Without pyplot: no global state, no display, no figure left open.
    figure = Figure(figsize=(1.0 + 4.6 * COLUMNS, 0.9 + 3.5 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{_subtitle(statistics)}", fontsize=12)
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    _draw_returns(panels[0], statistics)
    _draw_lengths(panels[1], statistics)
    _draw_one(panels[2], statistics.reward_histogram, COLOURS[3], "steps")
    _label(panels[2], "Reward", "team reward per step", statistics.reward)
    for feature in range(features):
        _draw_action(panels[3 + feature], statistics, feature)
    if not statistics.is_plain:
        for panel, (name, group) in zip(panels[3:], statistics.groups.items(), strict=False):
            _draw_group(panel, name, group)
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure


def _subtitle(s: DatasetStatistics) -> str:
    tq = "not known" if s.tq is None else f"{s.tq:.3f}"
    return (
        f"{s.transitions:,} transitions, {s.episodes:,} episodes, TQ {tq}, "
        f"joint SACo {s.joint_saco:.3f}, average OACo {s.average_oaco:.3f}"
    )


def _draw_returns(panel: Axes, s: DatasetStatistics) -> None:
    _draw_one(panel, s.return_histogram, COLOURS[0], "episodes")
    _label(panel, "Return", "sum of team rewards per episode", s.episode_return)
    values = (s.episode_return.mean, s.best_return, s.random_return)
    names = ("dataset mean", "best policy", "random actions")
    for name, value, (colour, style) in zip(names, values, MARKS, strict=True):
        if value is not None:
            label = f"{name}: {short_number(value)}"
            panel.axvline(value, color=colour, linestyle=style, linewidth=1.6, label=label)
    panel.legend(fontsize=8, frameon=False)


def _draw_lengths(panel: Axes, s: DatasetStatistics) -> None:
    """Lengths of episodes, coloured by the kinds of their ends, one on top of the other."""
    edges = np.array(s.length_histogram.edges)
    below = np.zeros(len(edges) - 1)
    for kind, colour in zip(KINDS, KIND_COLOURS, strict=True):
        length = s.ends.lengths(kind)
        if not len(length):
            continue
        top = below + count_between(length, edges)
        label = f"{kind}: {100 * s.ends.share(kind):.1f} %"
        panel.stairs(top, edges, baseline=below, color=colour, fill=True, alpha=0.85, label=label)
        below = top
    panel.legend(fontsize=8, frameon=False)
    _style(panel, "episodes")
    _scale(panel, s.length_histogram, "episodes")
    _label(panel, "Episode length", "steps per episode", s.episode_length)
    panel.locator_params(axis="x", integer=True)
    if len(s.length_histogram.counts) == 1:
        panel.set_xlim(edges[0] - 3, edges[1] + 3)  # a bar, not a wall


def _draw_action(panel: Axes, s: DatasetStatistics, feature: int) -> None:
    action = s.action
    agents = [one[feature] for one in action.histograms]
    edges = agents[0].edges
    if len(agents) <= len(COLOURS):
        for agent, histogram in enumerate(agents):
            panel.stairs(histogram.counts, edges, color=COLOURS[agent], linewidth=1.4, label=f"agent {agent}")
    else:
        total = np.sum([histogram.counts for histogram in agents], axis=0)
        panel.stairs(total, edges, color=COLOURS[0], fill=True, label=f"all {len(agents)} agents")
    panel.legend(fontsize=8, frameon=False)
    _style(panel, "steps")
    if action.beyond is None:
        panel.set_title("Action", fontsize=11)
        panel.set_xlabel("index of the action")
        return
    beyond = np.mean([one[feature] for one in action.beyond])
    panel.set_title(f"Action feature {feature}: {100 * beyond:.1f} % beyond its bounds", fontsize=11)
    panel.set_xlabel("value of the action")
    for bound in (-1.0, 1.0):
        if edges[0] <= bound <= edges[-1]:
            panel.axvline(bound, color="#555555", linestyle=":", linewidth=1.2)


def _draw_group(panel: Axes, name: str, group: GroupStatistics) -> None:
    """All actions of a group: the features of all its agents together, or every agent's index."""
    action = group.action
    histograms = action.histograms if action.discrete else tuple(zip(*action.histograms, strict=True))
    kind = "agent" if action.discrete else "feature"
    for index, parts in enumerate(histograms):
        counts = np.sum([part.counts for part in parts], axis=0)
        colour = COLOURS[index % len(COLOURS)]
        style = "-" if index < len(COLOURS) else "--"
        panel.stairs(
            counts, parts[0].edges, color=colour, linestyle=style, linewidth=1.4, label=f"{kind} {index}"
        )
    panel.legend(fontsize=8, frameon=False)
    _style(panel, "steps" if action.discrete else "actions")
    agents = len(group.unique_local)
    panel.set_title(f"Actions of {name} ({agents} agent{'s' if agents > 1 else ''})", fontsize=11)
    panel.set_xlabel("index of the action" if action.discrete else "value of the action")
    if action.beyond is not None:
        panel.set_xlabel(f"value of the action; {100 * np.mean(action.beyond):.1f} % beyond its bounds")


def _draw_one(panel: Axes, histogram: Histogram, colour: str, unit: str) -> None:
    panel.stairs(histogram.counts, histogram.edges, color=colour, fill=True, alpha=0.85)
    _style(panel, unit)
    _scale(panel, histogram, unit)


def _scale(panel: Axes, histogram: Histogram, unit: str) -> None:
    """A logarithmic scale where some bars are too low for a linear one."""
    highest, lowest = max(histogram.counts), min(filter(None, histogram.counts))
    if highest >= _LOG_FROM * lowest:
        panel.set_yscale("log")
        # Bars of one are seen too.
        panel.set_ylim(0.5, 2 * highest)
        panel.set_ylabel(f"number of {unit} (log scale)")


def _label(panel: Axes, title: str, unit: str, spread: Spread) -> None:
    panel.set_title(f"{title}: {short_number(spread.mean)} $\\pm$ {short_number(spread.std)}", fontsize=11)
    panel.set_xlabel(unit)


def _style(panel: Axes, unit: str) -> None:
    panel.set_ylabel(f"number of {unit}")
    panel.set_ylim(bottom=0)
    panel.locator_params(axis="y", integer=True)
    panel.grid(color="#E6E6E6", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
