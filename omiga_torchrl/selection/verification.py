"""Selection against the truth: rank correlation and regret of scores, and of choosing without any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omiga_torchrl import functional as F
from omiga_torchrl.selection.bandit import normalised_score, ucb
from omiga_torchrl.selection.ranking import Selection

# Scores of which the smaller one is better.
_LOWER = ("td_error",)


@dataclass(frozen=True)
class Judgement:
    """How well a score chose among policies whose true returns are known.

    Regrets are shares of the range from the worst to the best candidate.

    Attributes:
        policies: number of candidates that have the score.
        rank_correlation: Spearman's, of those; NaN where all scores are equal.
        regret_at_1: of the one that it puts first.
        regret_at_3: of the best among the three that it puts first.
    """

    policies: int
    rank_correlation: float
    regret_at_1: float
    regret_at_3: float


def judge(score: Sequence[float | None], truth: Sequence[float]) -> Judgement | None:
    """The judgement of a score, higher being better; None if fewer than three candidates have it.

    Args:
        score: of every candidate; None or NaN where it has none: it is never chosen then.
        truth: true returns.

    Examples:
        >>> judge([1.0, 2.0, 3.0, None], [0.0, 4.0, 3.0, 5.0])
        Judgement(policies=3, rank_correlation=0.5, regret_at_1=0.4, regret_at_3=0.2)
    """
    known = [i for i, value in enumerate(score) if value is not None and math.isfinite(value)]
    if len(known) < 3:
        return None
    scores = torch.tensor([float(score[i] or 0.0) for i in known], dtype=torch.float64)
    values = torch.tensor([truth[i] for i in known], dtype=torch.float64)
    span = max(truth) - min(truth) or 1.0
    missed = max(truth) - float(values.max())  # by what has no score

    def regret(k: int) -> float:
        return (float(F.regret_at_k(scores, values, k)) + missed) / span

    return Judgement(len(known), float(F.rank_correlation(scores, values)), regret(1), regret(3))


def chance_regret(truth: Sequence[float], among: Sequence[float], k: int) -> float:
    """Expected regret of the best of k candidates drawn without replacement, as a share of the range.

    Args:
        truth: true returns of all candidates.
        among: of those that are drawn from, e.g. the last policies of all runs.
        k: number drawn; all if there are fewer.

    Examples:
        >>> chance_regret([0.0, 1.0], [0.0, 1.0], 1), chance_regret([0.0, 1.0], [0.0, 1.0], 2)
        (0.5, 0.0)
    """
    values, k = sorted(among), min(k, len(among))
    # The i-th smallest is the best of k if the other k - 1 are below it.
    chance = [math.comb(i, k - 1) / math.comb(len(values), k) for i in range(len(values))]
    expected = sum(p * value for p, value in zip(chance, values, strict=True))
    return (max(truth) - expected) / (max(truth) - min(truth) or 1.0)


def judge_selection(selection: Selection, truth: Mapping[str, float]) -> dict[str, Any]:
    """Judgements of all scores of a selection, and of choosing at random and among the last policies.

    A fitted value counts by its lowest seed, which ranks, and by its mean.

    Args:
        selection: the ranking.
        truth: true return by name of the policy.
    """
    names = [one.name for one in selection.policies]
    returns = [truth[name] for name in names]
    scores: dict[str, list[float | None]] = {
        f"FQE {critic}": [one.lowest(critic) for one in selection.policies] for critic in selection.critics
    }
    for critic in selection.critics:
        scores[f"FQE {critic}, mean"] = [one.mean(critic) for one in selection.policies]
    for field in vars(selection.policies[0].cheap):
        sign = -1.0 if field in _LOWER else 1.0
        found = [getattr(one.cheap, field) for one in selection.policies]
        scores[field] = [None if value is None else sign * value for value in found]
    judged = {name: judge(score, returns) for name, score in scores.items()}
    last = [value for value, one in zip(returns, selection.policies, strict=True) if one.is_last]
    return {
        **{name: vars(one) for name, one in judged.items() if one is not None},
        "random": {f"regret_at_{k}": chance_regret(returns, returns, k) for k in (1, 3)},
        "last": {f"regret_at_{k}": chance_regret(returns, last, k) for k in (1, 3)},
    }


def budget_curve(
    returns: Sequence[Sequence[float]],
    pulls: int,
    *,
    order: Sequence[int] | None = None,
    repeats: int = 200,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Mean regret of the best policy so far after every pull of UCB, as a share of the range ``[pulls]``.

    A pull is one recorded episode of the policy, drawn at random; returns are normalised by the smallest and
    largest recorded one.

    Args:
        returns: recorded returns of every policy.
        pulls: budget.

    Keyword Args:
        order: first trials, e.g. the best fitted values only; None: all, in an order of chance.
        repeats: simulations.
        seed: of the draws.

    Examples:
        >>> budget_curve([[0.0], [1.0], [0.5]], 3, order=[0, 2, 1], repeats=1)
        array([1. , 0.5, 0. ])
    """
    random = np.random.default_rng(seed)
    truth = np.array([np.mean(one) for one in returns])
    low, high = min(map(min, returns)), max(map(max, returns))
    span = float(np.ptp(truth)) or 1.0

    def pull(arm: int) -> float:
        return normalised_score(float(random.choice(returns[arm])), low, high)

    total = np.zeros(pulls)
    for _ in range(repeats):
        first = random.permutation(len(returns)).tolist() if order is None else order
        total += (truth.max() - truth[ucb(pull, len(returns), pulls, order=first).best]) / span
    return total / repeats
