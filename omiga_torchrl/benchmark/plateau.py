"""Where a run has got to at its end: whether its values still move, and what its weights rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omiga_torchrl.errors import DataError
from omiga_torchrl.plain_files import read_text
from omiga_torchrl.trainers.hooks.value_bound import BOUND, LOWER_BOUND, VALUES

Trend = Literal["settled", "rising", "falling"]

SAMPLE_SIZE: Final = "effective_sample_size"
PARTS: Final = 10
LIMIT: Final = 0.5
_KEPT: Final = 60


@dataclass(frozen=True)
class Plateau:
    """The values of a run over its training.

    Attributes:
        name: of the metric.
        steps: gradient steps `[S]`.
        values: mean over batches `[S]`.
        pace: change in the last tenth of learning relative to an even change from the lowest to the highest
            of the ten parts: 1 is a straight line to the end, 0 is flat.
        trend: ``"rising"`` or ``"falling"`` if the pace is beyond 0.5 and the last three parts are in order.
        bound: the largest discounted return in the data: values above it are overestimated; ``None``: the run
            has not logged it.
        lower_bound: the smallest one.
    """

    name: str
    steps: list[int]
    values: list[float]
    pace: float
    trend: Trend
    bound: float | None = None
    lower_bound: float | None = None


def learning_progress(steps: ArrayLike, total: int, schedule: str | None = None) -> NDArray[np.float64]:
    """Share of all learning that is done at a step: the sum of learning rates so far over that of all.

    Under a cosine the last steps hardly count: values that stand still there may only not have been taught.

    Args:
        steps: gradient steps `[S]`.
        total: of the training.
        schedule: ``"cosine"``, or ``None`` for a constant rate.

    Returns:
        Shares in [0, 1] `[S]`.

    Examples:
        >>> learning_progress([50, 90], 100, "cosine").round(3).tolist()
        [0.818, 0.998]
    """
    share = np.asarray(steps, dtype=np.float64) / total
    return share + np.sin(np.pi * share) / np.pi if schedule == "cosine" else share


def final_pace(progress: ArrayLike, values: ArrayLike) -> tuple[float, Trend]:
    """How fast values move at the end, relative to an even change over all of the learning.

    With l_k the mean over the k-th of ten parts of the learning, the pace is
    (l_10 - l_9) / ((max_k l_k - min_k l_k) / 9).

    Args:
        progress: share of the learning done, ascending `[S]`.
        values: of the same times `[S]`.

    Returns:
        The pace, and what is made of it, see :class:`Plateau`.

    Examples:
        >>> times = np.linspace(0.01, 1, 100)
        >>> pace, trend = final_pace(times, 3 * times)
        >>> round(pace, 2), trend
        (1.0, 'rising')
        >>> final_pace(times, 1 - np.exp(-10 * times))[1]
        'settled'
    """
    edges = np.linspace(0, 1, PARTS + 1)
    fine = np.linspace(edges[:-1], edges[1:], 21).T  # of every part
    levels = np.interp(fine, np.asarray(progress), np.asarray(values, dtype=np.float64)).mean(1)
    span = float(levels.max() - levels.min())
    if span == 0:
        return 0.0, "settled"
    pace = float(levels[-1] - levels[-2]) / (span / (PARTS - 1))
    last = np.diff(levels[-3:])
    if pace > LIMIT and (last > 0).all():
        return pace, "rising"
    return pace, "falling" if pace < -LIMIT and (last < 0).all() else "settled"


def read_plateau(run: str | Path, total: int, schedule: str | None) -> Plateau | None:
    """The values of a run from its CSV log; ``None`` if it has logged none, as cloning does.

    Args:
        run: the run's folder.
        total: steps of the training.
        schedule: of the learning rate.

    Raises:
        DataError: the log is damaged.
    """
    folder = Path(run) / "log" / "scalars"
    name = next((one for one in VALUES if (folder / f"{one}.csv").is_file()), None)
    if name is None:
        return None
    found = _read_scalar(folder / f"{name}.csv")
    if len(found) < PARTS // 2 or not np.isfinite(found).all():
        return None
    logs = (folder / f"{one}.csv" for one in (BOUND, LOWER_BOUND))
    bounds = [float(_read_scalar(log)[-1, 1]) if log.is_file() else None for log in logs]
    pace, trend = final_pace(learning_progress(found[:, 0], total, schedule), found[:, 1])
    kept = found[np.unique(np.linspace(0, len(found) - 1, _KEPT).round().astype(int))]
    return Plateau(name, kept[:, 0].astype(int).tolist(), _short(kept[:, 1]), round(pace, 3), trend, *bounds)


def final_sample_size(run: str | Path, total: int) -> float | None:
    """The effective sample size of a policy's weights over the last tenth of the steps.

    Args:
        run: the run's folder.
        total: steps of the training.

    Returns:
        The share of a batch on which weights rest, in (0, 1]; ``None`` if the run has logged none, as
        algorithms without weights do.

    Raises:
        DataError: the log is damaged.
    """
    file = Path(run) / "log" / "scalars" / f"{SAMPLE_SIZE}.csv"
    if not file.is_file():
        return None
    found = _read_scalar(file)
    last = found[found[:, 0] > total * (1 - 1 / PARTS), 1]
    return round(float(last.mean()), 4) if len(last) and np.isfinite(last).all() else None


def _read_scalar(file: Path) -> NDArray[np.float64]:
    """Steps and values of a scalar's log `[S, 2]`."""
    lines = read_text("read_plateau", file, "Run it again with existing=overwrite.").split()
    try:
        return np.array([[float(part) for part in line.split(",")] for line in lines]).reshape(len(lines), 2)
    except ValueError:
        raise DataError(
            f"read_plateau: {file} must have lines of a step and a value. Run it again."
        ) from None


def _short(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
