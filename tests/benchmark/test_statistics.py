"""Statistics over tasks and seeds: by hand, and beside rliable where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.benchmark import statistics

TASKS = [np.array([0.0, 0.4, 0.8, 1.6]), np.array([1.0, 1.0, 2.0, 4.0]), np.array([0.1, 0.2, 0.3, 0.6])]


def test_aggregates_by_hand() -> None:
    assert float(statistics.mean(TASKS)) == pytest.approx((0.7 + 2.0 + 0.3) / 3)
    assert float(statistics.median(TASKS)) == pytest.approx(0.7)
    # Of twelve runs the three lowest and the three highest are left out.
    assert float(statistics.iqm(TASKS)) == pytest.approx((0.3 + 0.4 + 0.6 + 0.8 + 1.0 + 1.0) / 6)
    assert float(statistics.optimality_gap(TASKS)) == pytest.approx(1 - (0.55 + 1.0 + 0.3) / 3)


def test_profiles_and_improvement_by_hand() -> None:
    assert statistics.performance_profile(TASKS, [0.5, 1.0]).tolist() == pytest.approx([7 / 12, 3 / 12])
    others = [np.array([0.4, 9.0]), np.array([1.0, 1.0]), np.array([0.0, 0.0])]
    # Of eight pairs in each task: two wins and a tie; four wins and four ties; eight wins.
    wins = [(2 + 0.5) / 8, (4 + 4 * 0.5) / 8, 1.0]
    assert float(statistics.probability_of_improvement(TASKS, others)) == pytest.approx(np.mean(wins))


def test_replicates_stay_in_their_task_and_intervals_cover() -> None:
    drawn = statistics.replicates(TASKS, count=400)
    for own, one in zip(drawn, TASKS, strict=True):
        assert own.shape == (400, 4) and set(own.ravel()) == set(one)
    low, high = statistics.percentile_interval(statistics.mean(drawn))
    assert low < float(statistics.mean(TASKS)) < high
    assert statistics.replicates(TASKS, 5)[0].tolist() == statistics.replicates(TASKS, 5)[0].tolist()


def test_only_what_a_test_tells_apart_is_emphasised() -> None:
    runs = {"a": [5.0, 6.0, 7.0], "b": [5.0, 6.0, 6.0], "c": [0.0, 0.0, 0.0], "one run": [99.0]}
    assert statistics.indistinguishable_from_best(runs) == {"a", "b"}
    assert statistics.indistinguishable_from_best({"a": [5.0, 9.0], "b": [1.0, 7.0]}) == set()
    # Holm: of ten tests a chance of 2 % in one says nothing.
    noise = {f"n{i}": [5.0, 6.0, 7.0] for i in range(9)}
    close = {"a": [5.0, 6.0, 7.0], "b": [3.0, 3.9, 3.4]}
    assert statistics.indistinguishable_from_best(close) == {"a"}
    assert statistics.indistinguishable_from_best({**close, **noise}) == set()


def test_rliable_agrees() -> None:
    """Run where rliable is installed; it is no dependency."""
    metrics = pytest.importorskip("rliable.metrics")
    library = pytest.importorskip("rliable.library")
    matrix = np.stack(TASKS, axis=1)  # [runs, tasks]
    other = np.random.default_rng(0).normal(1, 0.5, size=matrix.shape)
    others = list(other.T)
    for ours, theirs in (
        (statistics.mean, metrics.aggregate_mean), (statistics.median, metrics.aggregate_median),
        (statistics.iqm, metrics.aggregate_iqm),
        (statistics.optimality_gap, metrics.aggregate_optimality_gap),
    ):  # fmt: skip
        assert float(ours(TASKS)) == pytest.approx(float(theirs(matrix)))
        interval = statistics.percentile_interval(ours(statistics.replicates(TASKS, 20_000)))
        _, cis = library.get_interval_estimates(
            {"a": matrix}, lambda scores, f=theirs: np.array([f(scores)]), reps=20_000
        )
        assert interval == pytest.approx(cis["a"][:, 0], abs=0.02)
    ours = statistics.probability_of_improvement(TASKS, others)
    assert float(ours) == pytest.approx(metrics.probability_of_improvement(matrix, other))
    levels = np.linspace(0, 2, 21)
    profiles, _ = library.create_performance_profile({"a": matrix}, levels, reps=10)
    assert statistics.performance_profile(TASKS, levels) == pytest.approx(profiles["a"])
