"""Statistics of few runs, in numpy.

The unit is the **run**: a training seed's mean over its evaluation episodes. Episodes of one
policy are not independent samples of the algorithm, so intervals resample runs, never episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]

# 0.975 quantiles of Student's t for 1, 2, ... degrees of freedom.
_T_975 = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def interquartile_mean(values: ArrayLike) -> float:
    """The mean without the lowest and the highest quarter.

    Of n values, floor(n / 4) are dropped at each end, as in rliable: with fewer than four
    values it is the plain mean.

    Args:
        values: any shape; all values count alike.

    Raises:
        ValueError: no values.

    Examples:
        >>> interquartile_mean([0.0, 1.0, 2.0, 100.0])
        1.5
    """
    flat = _values("interquartile_mean", values)
    return float(_iqm(flat[None])[0])


def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the last dimension, as a statistic to bootstrap.

    Args:
        values: `[*batch, runs]`.
    """
    return np.asarray(values.mean(-1))


def iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The interquartile mean over the last dimension, as a statistic to bootstrap.

    Args:
        values: `[*batch, runs]`.
    """
    return _iqm(values)


def stratified_bootstrap(
    scores: Mapping[str, ArrayLike] | ArrayLike,
    statistic: Statistic = mean,
    *,
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic over runs.

    Each replicate draws, within every task, as many runs as there are, with replacement, and
    applies the statistic to the runs of all tasks together. Put scores of several tasks on one
    scale first.

    .. note:: With R runs of one task the interval lies within their smallest and largest value; for
        R = 3 it is that whole range with the mean as the statistic (the least mean has probability
        1/27 > 2.5 %), and with R = 1 a point. Such intervals describe the runs at hand more than the
        algorithm: see :func:`mean_confidence_interval` for one that allows for unseen runs.

    Args:
        scores: task to one score per run `[R]`, or the scores of a single task.
        statistic: ``[replicates, runs] -> [replicates]``.
        level: coverage in (0, 1).
        replicates: number of replicates.
        seed: seed of the resampling; the same data give the same interval.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: no scores, or ``level`` outside (0, 1).

    Examples:
        >>> stratified_bootstrap([1.0, 2.0, 6.0])
        (1.0, 6.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"stratified_bootstrap: level={level}; expected between 0 and 1, e.g. 0.95.")
    strata = scores if isinstance(scores, Mapping) else {"": scores}
    if not strata:
        raise ValueError("stratified_bootstrap: no scores; expected at least one task.")
    generator = np.random.default_rng(seed)
    drawn = []
    for task in sorted(strata):
        runs = _values("stratified_bootstrap", strata[task])
        drawn.append(runs[generator.integers(runs.size, size=(replicates, runs.size))])
    found = statistic(np.concatenate(drawn, axis=1))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_confidence_interval(values: ArrayLike) -> tuple[float, float]:
    """Student's 95% interval of the mean, for independent, roughly normal runs.

    Args:
        values: one score per run `[R]`.

    Returns:
        Lower and upper end; infinite for a single run.

    Examples:
        >>> low, high = mean_confidence_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    runs = _values("mean_confidence_interval", values)
    if runs.size == 1:
        return float("-inf"), float("inf")
    half = _t_975(runs.size - 1) * runs.std(ddof=1) / np.sqrt(runs.size)
    return float(runs.mean() - half), float(runs.mean() + half)


def _t_975(freedom: int) -> float:
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    # Cornish-Fisher expansion around the normal quantile; exact to 1e-4 from here on.
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _iqm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    cut = values.shape[-1] // 4
    return np.asarray(np.sort(values, -1)[..., cut : values.shape[-1] - cut].mean(-1))


def _values(component: str, values: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    if not flat.size:
        raise ValueError(f"{component}: no values; expected at least one run.")
    return flat
