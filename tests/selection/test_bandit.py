"""UCB, and how selections are judged, by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from omiga_torchrl.errors import DataError
from omiga_torchrl.selection import CheapScores, ScoredPolicy, Selection, normalised_score, ucb
from omiga_torchrl.selection.verification import budget_curve, chance_regret, judge, judge_selection


def test_ucb_pulls_the_largest_bound():
    means = [0.2, 0.9, 0.5]
    result = ucb(means.__getitem__, 3, 30)
    count = np.zeros(3)
    for n, arm in enumerate(result.arms):
        if n >= 3:  # bounds by hand
            assert arm == int(np.argmax(means + np.sqrt(2 * math.log(n) / count)))
        count[arm] += 1
    assert result.best[2:] == [1] * 28 and count[1] == max(count) and min(count) > 1


def test_ucb_tries_only_what_it_is_given_in_that_order():
    result = ucb([0.1, 0.2, 0.3, 9.0].__getitem__, 4, 6, order=[2, 0])
    assert result.arms[:2] == [2, 0] and set(result.arms) == {0, 2} and result.best == [2] * 6
    assert ucb([0.1, 0.2].__getitem__, 2, 1).arms == [0]


def test_bad_scores_are_refused():
    with pytest.raises(DataError, match="scores must be finite, got nan of policy 0"):
        ucb(lambda arm: math.nan, 2, 3)
    with pytest.raises(ValueError, match="pulls"):
        ucb(lambda arm: 0.0, 2, 0)
    with pytest.raises(ValueError, match=r"high must be above low, got 1\.0 and 1\.0"):
        normalised_score(1.0, 1.0, 1.0)


def test_chance_regret_is_the_mean_over_all_draws():
    truth = [1.0, 5.0, 2.0, 7.0, 4.0]
    for k in (1, 2, 3):
        draws = [max(draw) for draw in itertools.combinations(truth, k)]
        assert chance_regret(truth, truth, k) == pytest.approx((7 - np.mean(draws)) / 6)
    assert chance_regret(truth, [5.0, 4.0], 3) == pytest.approx(2 / 6)


def test_scores_of_few_policies_miss_the_others():
    found = judge([None, 2.0, 1.0, 0.0], [10.0, 5.0, 4.0, 0.0])
    assert (found.policies, found.rank_correlation, found.regret_at_1) == (3, pytest.approx(1.0), 0.5)
    assert judge([None, None, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0]) is None
    worst = judge([3.0, 2.0, 1.0], [0.0, 1.0, 2.0])
    assert (worst.rank_correlation, worst.regret_at_1, worst.regret_at_3) == (pytest.approx(-1.0), 1.0, 0.0)


def scored(name, *values, coverage=0.9, is_last=False, **cheap):
    given = {"linear": list(values)} if values else {}
    return ScoredPolicy(name, "runs/a", 1, is_last, coverage, given, CheapScores(**cheap))


def test_a_selection_is_judged_with_its_cheap_scores():
    policies = [scored(n, v, v, td_error=-v, is_last=v > 2) for n, v in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    judged = judge_selection(Selection(policies, ["linear"], {}), {"a": 0.0, "b": 2.0, "c": 1.0})
    assert judged["FQE linear"]["regret_at_1"] == 0.5 and judged["last"]["regret_at_1"] == 0.5
    assert judged["td_error"] == judged["FQE linear"]  # smaller is better
    assert judged["random"]["regret_at_1"] == 0.5 and "soft_opc" not in judged


def test_a_budget_curve_ends_at_the_best():
    curve = budget_curve([[0.0, 0.2], [1.0, 0.8], [0.1, 0.3]], 40, repeats=20)
    assert curve[0] > 0.3 and curve[-1] == 0 and (np.diff(curve[3:]) <= 1e-9).all()


def test_what_stands_against_a_ranking_is_said():
    clear = Selection([scored("a", 3.0, 3.1), scored("b", 1.0, 1.2)], ["linear"], {})
    assert clear.ties == [] and clear.warnings == [] and clear.chosen.name == "a"
    # b has the higher mean, but its seeds do not agree: the lowest one ranks
    policies = [scored("a", 3.0, 2.8), scored("b", 1.0, 5.0), scored("far", coverage=0.1)]
    tied = Selection(policies, ["linear"], {}, 0.95, 0.5)
    assert tied.ties == ["b"] and [one.name for one in tied.ranked] == ["a", "b"]
    assert "the data do not cover the actions of far (0.10)" in tied.warnings[0]
    assert "the spread over seeds exceeds the gap between a and 1 others: b" in tied.warnings[1]
    one = Selection([scored("a", 3.0)], ["linear"], {})
    assert "with one seed the spread of the fits is not known" in one.warnings[0]
    # b moves with a, as fits of one seed do: no tie, although their values overlap
    paired = Selection([scored("a", 3.0, 5.0), scored("b", 2.0, 4.1)], ["linear"], {})
    assert paired.ties == []


def test_tables_have_ranks_and_empty_cells():
    selection = Selection([scored("far", coverage=0.1), scored("a", 3.0, 3.2, td_error=0.5)], ["linear"], {})
    lines = selection.table().splitlines()
    assert lines[2].startswith("| 1 | a | 3.100 | [3.000, 3.200] |") and "| 0.500 |" in lines[2]
    assert lines[3].startswith("| - | far |  |  |")
