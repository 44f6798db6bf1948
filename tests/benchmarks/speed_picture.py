"""The picture of the speed table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omiga_torchrl.report.plots import COLOURS

Rows = Mapping[str, Mapping[str, float]]
WAYS = {
    "released": "released procedure", "plain": "plain PyTorch", "eager": "compile=none",
    "loss": "compile=loss", "step": "compile=step", "seeds": "all seeds as one graph", "JAX scan": "JAX scan",
}  # fmt: skip
SWEEPS = {"agents": "agents", "batch": "transitions in a batch", "seeds": "seeds at once"}


def draw(rows: Rows, path: Path) -> Path:
    """One panel a size with every way of every algorithm, then one a sweep.

    Args:
        rows: name to milliseconds, as ``speed.json`` holds them.
        path: PNG to write.
    """
    from matplotlib.figure import Figure  # optional: extra "plot"

    sizes = list(dict.fromkeys(name.split()[2] for name in rows if name.startswith("size")))
    panels = max(len(sizes), len(SWEEPS), 1)
    figure = Figure(figsize=(4.6 * panels, 8.5), layout="constrained")
    axes = figure.subplots(2, panels, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, size in zip(axes[0], sizes, strict=False):
        _draw_size(axis, rows, size)
    for axis, sweep in zip(axes[1], SWEEPS, strict=False):
        _draw_sweep(axis, rows, sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _draw_size(axis: Any, rows: Rows, size: str) -> None:
    axis.set_visible(True)
    found = {name.split()[1]: row for name, row in rows.items() if name.split()[::2][:2] == ["size", size]}
    names = list(found)[::-1]
    ways = [way for way in WAYS if any(way in row for row in found.values())]
    height = 0.8 / len(ways)
    for i, way in enumerate(ways):
        places = [k for k, name in enumerate(names) if way in found[name]]
        ratios = [found[names[k]][way] / found[names[k]]["products"] for k in places]
        positions = [k + 0.4 - (i + 0.5) * height for k in places]
        if places:
            axis.barh(positions, ratios, height, color=_colour(way), label=WAYS[way])
    axis.axvline(1, color="#555555", linewidth=1, linestyle="--")
    axis.set_yticks(range(len(names)), names)
    agents, *_, batch, hidden = size.split("/")
    axis.set_title(f"{agents} agents, batch {batch}, hidden {hidden}", fontsize=10)
    axis.set_xlabel("time of a step / time of its matrix products")
    axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)


def _colour(way: str) -> str:
    return COLOURS[list(WAYS).index(way)]


def _draw_sweep(axis: Any, rows: Rows, sweep: str) -> None:
    label = SWEEPS[sweep]
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, row in rows.items():
        kind, _, size, *more = name.split()
        if kind == sweep:
            at = float(more[0]) if more else float(size.split("/")[0 if sweep == "agents" else 3])
            for way in ("eager", "step", "seeds", "JAX scan"):
                if way in row:
                    lines.setdefault(way, []).append((at, row[way]))
    if not lines:
        return
    axis.set_visible(True)
    for way, points in lines.items():
        axis.plot(*zip(*sorted(points), strict=True), marker="o", color=_colour(way), label=WAYS[way])
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    places = sorted({at for points in lines.values() for at, _ in points})
    axis.set_xticks(places, [f"{at:g}" for at in places])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("")
    axis.set_xlabel(label)
    axis.set_ylabel("ms a step")
    axis.set_title("OMIGA, hidden 64", fontsize=10)
    axis.legend(fontsize=8, frameon=False)
