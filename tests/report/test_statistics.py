from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.report import interquartile_mean, mean_confidence_interval, stratified_bootstrap
from omiga_torchrl.report.statistics import iqm


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 9.0], 4.0),  # floor(3 / 4) = 0 dropped: the mean
        ([9.0, 1.0, 2.0, 3.0], 2.5),
        ([0.0, 1.0, 2.0, 3.0, 100.0], 2.0),  # floor(5 / 4) = 1 dropped at each end
        ([[-50.0, 0.0], [1.0, 2.0], [3.0, 4.0], [5.0, 100.0]], 2.5),
    ],
)
def test_interquartile_mean(values: list[float], expected: float) -> None:
    assert interquartile_mean(values) == pytest.approx(expected)


def test_bootstrap_of_three_is_their_range() -> None:
    """P(all three draws are the smallest) = 1/27 > 2.5%."""
    assert stratified_bootstrap([3.0, 1.0, 2.0]) == (1.0, 3.0)


def test_bootstrap_by_enumeration() -> None:
    """Two runs 0 and 1: the mean is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4."""
    assert stratified_bootstrap([0.0, 1.0], level=0.4) == (0.5, 0.5)
    assert stratified_bootstrap([0.0, 1.0], level=0.6) == (0.0, 1.0)


def test_bootstrap_keeps_strata() -> None:
    """Tasks without spread give no spread; pooled, they would."""
    assert stratified_bootstrap({"a": [0.0] * 5, "b": [1.0] * 5}) == (0.5, 0.5)
    low, high = stratified_bootstrap([0.0] * 5 + [1.0] * 5)
    assert low < 0.4 and high > 0.6


def test_bootstrap_covers() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(200, 30))
    inside = [low <= 0 <= high for low, high in (stratified_bootstrap(s, replicates=500) for s in samples)]
    assert 0.88 <= np.mean(inside) <= 0.99


def test_bootstrap_of_the_iqm_and_seed() -> None:
    scores = np.random.default_rng(1).normal(size=20)
    assert stratified_bootstrap(scores, iqm) == stratified_bootstrap(scores, iqm)
    assert stratified_bootstrap(scores, iqm) != stratified_bootstrap(scores, iqm, seed=1)


def test_student() -> None:
    """Mean 2, standard deviation 1, t = 4.3027: 2 ± 4.3027 / sqrt(3)."""
    assert mean_confidence_interval([1, 2, 3]) == pytest.approx((2 - 2.48416, 2 + 2.48416), abs=1e-4)
    assert mean_confidence_interval([1.0]) == (float("-inf"), float("inf"))
    for runs, t in ((32, 2.0395), (1001, 1.9623)):  # 31 and 1000 degrees of freedom
        values = np.arange(runs, dtype=float)
        half = t * values.std(ddof=1) / np.sqrt(runs)
        assert mean_confidence_interval(values)[1] - values.mean() == pytest.approx(half, rel=1e-4)


def test_errors() -> None:
    for function in (interquartile_mean, stratified_bootstrap, mean_confidence_interval):
        with pytest.raises(ValueError, match=f"{function.__name__}: no values"):
            function([])
    with pytest.raises(ValueError, match="level=95"):
        stratified_bootstrap([1.0], level=95)
    with pytest.raises(ValueError, match="no scores"):
        stratified_bootstrap({})
