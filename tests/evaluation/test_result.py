"""`EvaluationResult`: its measures by hand, and what is written of it."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.evaluation import EvaluationResult

RETURNS = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
LENGTHS = torch.tensor([4, 5, 9])
ENDED = torch.tensor([True, False, False])


def test_measures() -> None:
    result = EvaluationResult(RETURNS, LENGTHS, ENDED)
    assert result.mean_return == 3.0 and result.win_rate is None
    assert result.terminated_share == pytest.approx(1 / 3)
    assert (result.seed, result.deterministic, result.won, dict(result.group_returns)) == (0, True, None, {})
    assert EvaluationResult(RETURNS, LENGTHS, ENDED, ~ENDED).win_rate == pytest.approx(2 / 3)


def test_metrics_are_scalars_and_the_return_is_first() -> None:
    metrics = EvaluationResult(RETURNS, LENGTHS, ENDED).metrics()
    assert list(metrics) == ["return", "return_std", "length", "terminated_share"]
    assert metrics["return"] == 3.0 and metrics["length"] == 6.0
    assert metrics["return_std"] == pytest.approx((14 / 3) ** 0.5)  # of these episodes, not of a population
    assert EvaluationResult(RETURNS[:1], LENGTHS[:1], ENDED[:1]).metrics()["return_std"] == 0.0
    groups = {"prey": 2 * RETURNS, "wolves": -RETURNS}
    full = EvaluationResult(RETURNS, LENGTHS, ENDED, ENDED, group_returns=groups).metrics()
    assert full["win_rate"] == pytest.approx(1 / 3)
    assert (full["return_prey"], full["return_wolves"]) == (6.0, -3.0)


def test_records_are_plain_values() -> None:
    result = EvaluationResult(RETURNS, LENGTHS, ENDED, seed=7, deterministic=False)
    assert result.to_record() == {
        "returns": [1.0, 2.0, 6.0], "lengths": [4, 5, 9], "terminated": [True, False, False],
        "deterministic": False, "seed": 7,
    }  # fmt: skip
    full = EvaluationResult(RETURNS, LENGTHS, ENDED, ~ENDED, group_returns={"prey": RETURNS}).to_record()
    assert full["won"] == [False, True, True] and full["group_returns"] == {"prey": [1.0, 2.0, 6.0]}
