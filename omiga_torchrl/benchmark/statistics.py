"""Statistics over tasks and seeds, as rliable defines them (Agarwal et al. 2021, arXiv:2108.13264).

Scores are given as one array for each task, ``[*B, R_t]``: a score for each run, after any number of batch
dimensions, which replicates of a bootstrap use. Runs are resampled within a task, never across.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omiga_torchrl.errors import require_number
from omiga_torchrl.report.statistics import iqm as _iqm

Array = NDArray[np.float64]
Statistic = Callable[[Sequence[Array]], Array]

LEAST_SEEDS: Final = 5
"""Runs of a task from which intervals are shown; below, the runs themselves are."""


def mean(tasks: Sequence[Array]) -> Array:
    """The mean over tasks of the mean over runs `[*B]`.

    Args:
        tasks: scores of every task.

    Examples:
        >>> float(mean([np.array([0.0, 1.0]), np.array([2.0])]))
        1.25
    """
    return _task_means(tasks).mean(-1)


def median(tasks: Sequence[Array]) -> Array:
    """The median over tasks of the mean over runs `[*B]`.

    Args:
        tasks: scores of every task.

    Examples:
        >>> float(median([np.array([0.0, 1.0]), np.array([2.0]), np.array([9.0])]))
        2.0
    """
    return np.asarray(np.median(_task_means(tasks), axis=-1))


def iqm(tasks: Sequence[Array]) -> Array:
    """The mean of all runs of all tasks but the lowest and the highest quarter `[*B]`.

    Args:
        tasks: scores of every task.

    Examples:
        >>> float(iqm([np.array([0.0, 1.0]), np.array([2.0, 9.0])]))
        1.5
    """
    return _iqm(np.concatenate(list(tasks), axis=-1))


def optimality_gap(tasks: Sequence[Array], target: float = 1.0) -> Array:
    """By how much runs fall short of a target, those above it counted as reaching it `[*B]`: less is better.

    Args:
        tasks: scores of every task.
        target: a score.

    Examples:
        >>> float(optimality_gap([np.array([0.5, 3.0])]))
        0.25
    """
    return target - mean([np.minimum(one, target) for one in tasks])


STATISTICS: Final[Mapping[str, Statistic]] = {
    "mean": mean, "median": median, "IQM": iqm, "optimality gap": optimality_gap,
}  # fmt: skip


def performance_profile(tasks: Sequence[Array], thresholds: ArrayLike) -> Array:
    """The share of runs whose score is above each threshold, a mean over tasks `[*B, T]`.

    Args:
        tasks: scores of every task.
        thresholds: scores `[T]`.

    Examples:
        >>> performance_profile([np.array([0.2, 0.8]), np.array([0.9])], [0.0, 0.5, 1.0]).tolist()
        [1.0, 0.75, 0.0]
    """
    levels = np.asarray(thresholds, dtype=np.float64)
    shares = [(one[..., None, :] > levels[:, None]).mean(-1) for one in tasks]
    return np.asarray(np.mean(shares, axis=0))


def probability_of_improvement(better: Sequence[Array], other: Sequence[Array]) -> Array:
    """How often a run of one algorithm beats one of another in a task, a mean over tasks `[*B]`.

    Ties count half: in a task it is the Mann-Whitney statistic U over the number of pairs.

    Args:
        better: scores of one algorithm in every task.
        other: those of the other, in the same tasks.

    Examples:
        >>> float(probability_of_improvement([np.array([1.0, 2.0])], [np.array([1.0, 0.0])]))
        0.875
    """
    wins = []
    for one, two in zip(better, other, strict=True):
        difference = one[..., :, None] - two[..., None, :]
        wins.append((np.sign(difference).mean((-2, -1)) + 1) / 2)
    return np.asarray(np.mean(wins, axis=0))


def replicates(tasks: Sequence[Array], count: int = 5_000, seed: int = 0) -> list[Array]:
    """Stratified bootstrap: within every task as many runs as there are, with replacement.

    Args:
        tasks: scores of every task `[R_t]`.
        count: number of replicates.
        seed: of the resampling.

    Returns:
        Scores of every task `[count, R_t]`.
    """
    generator = np.random.default_rng(seed)
    return [one[generator.integers(one.size, size=(count, one.size))] for one in tasks]


def percentile_interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """The interval between two quantiles of replicates.

    Args:
        values: a statistic of every replicate `[count]`.
        level: coverage.

    Raises:
        ValueError: ``level`` is not in (0, 1).
    """
    require_number("percentile_interval", "in (0, 1)", level=level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def indistinguishable_from_best(runs: Mapping[str, ArrayLike], level: float = 0.05) -> set[str]:
    """The algorithms of a cell that no test tells from the best one, if any can be told from it.

    Welch's t test of the best mean against each other one, two-sided, with Holm's correction.

    Args:
        runs: algorithm to its scores, a run each; algorithms with less than two are left out.
        level: error rate of all tests of the cell together.

    Returns:
        Their names; empty if no algorithm is told from the best: nothing is to be emphasised then.

    Raises:
        ImportError: scipy is not installed.

    Examples:
        >>> sorted(indistinguishable_from_best({"a": [5, 6, 7], "b": [5, 6, 6], "c": [0, 1, 1]}))
        ['a', 'b']
        >>> indistinguishable_from_best({"a": [5, 6, 7], "b": [4, 6, 7]})
        set()
    """
    try:  # optional: extra "recipes"
        from scipy.stats import ttest_ind
    except ImportError as error:
        raise ImportError('benchmark: scipy is missing. pip install "omiga-torchrl[recipes]"') from error
    scores = {name: np.asarray(one, dtype=np.float64) for name, one in runs.items()}
    scores = {name: one for name, one in scores.items() if one.size > 1}
    if len(scores) < 2:
        return set()
    best = max(scores, key=lambda name: float(scores[name].mean()))
    # Runs without any spread: a nominal one keeps the test defined.
    tiny = 1e-9 * max(1.0, *(float(np.abs(one).max()) for one in scores.values()))
    spread = {name: one + tiny * np.arange(one.size) for name, one in scores.items()}
    chances = {
        name: float(ttest_ind(spread[best], spread[name], equal_var=False).pvalue)
        for name in scores
        if name != best
    }
    worse = set()
    for rank, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        if chances[name] > level / (len(chances) - rank):
            break
        worse.add(name)
    return set(scores) - worse if worse else set()


def _task_means(tasks: Sequence[Array]) -> Array:
    return np.stack([one.mean(-1) for one in tasks], axis=-1)
