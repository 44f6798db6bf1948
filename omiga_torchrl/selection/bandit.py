"""Upper confidence bounds: which of several policies to try next in the environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from omiga_torchrl.errors import DataError, require_count


@dataclass
class UCBResult:
    """The trials, in order.

    Attributes:
        arms: number of the policy of every pull.
        scores: its score, normalised.
        best: after every pull, the policy of the highest mean score so far.
    """

    arms: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: list[int] = field(default_factory=list)


def ucb(
    pull: Callable[[int], float], arms: int, pulls: int, *, order: Sequence[int] | None = None
) -> UCBResult:
    """Tries policies by UCB1 (Auer 2002): the one with the largest ``mean + sqrt(2 ln N / n)`` next.

    N counts all pulls so far, and n those of the policy. Every policy is tried once before, as far as the
    budget goes. The bonus has no unit: scores must be normalised to about [0, 1], or it never explores, or
    does nothing else.

    Args:
        pull: score of one trial of a policy, normalised, see :func:`normalised_score`.
        arms: number of policies.
        pulls: budget.

    Keyword Args:
        order: of the first trials, e.g. by fitted values, the best first; None: as they are numbered. Only
            the policies in it are tried.

    Raises:
        ValueError: no policy or no pull.
        DataError: a score is NaN or infinite.

    Examples:
        >>> result = ucb([0.0, 1.0, 0.5].__getitem__, 3, 8, order=[1, 2, 0])
        >>> result.arms[:3], result.best[-1], result.arms.count(1) > result.arms.count(0)
        ([1, 2, 0], 1, True)
    """
    require_count("ucb", 1, arms=arms, pulls=pulls)
    first = list(range(arms)) if order is None else list(order)
    count, total, result = np.zeros(arms), np.zeros(arms), UCBResult()
    for n in range(pulls):
        if n < len(first):
            arm = first[n]
        else:
            bonus = np.sqrt(2 * math.log(n) / count[first])
            arm = first[int(np.argmax(total[first] / count[first] + bonus))]
        score = float(pull(arm))
        if not math.isfinite(score):
            raise DataError(f"ucb: scores must be finite, got {score} of policy {arm}.")
        count[arm] += 1
        total[arm] += score
        tried = [one for one in first if count[one]]
        result.arms.append(arm)
        result.scores.append(score)
        result.best.append(max(tried, key=lambda one: total[one] / count[one]))
    return result


def normalised_score(value: float, low: float, high: float) -> float:
    """``(value - low) / (high - low)``: 0 at ``low``, e.g. random actions, 1 at ``high``.

    Args:
        value: a return.
        low: reference that counts 0.
        high: reference that counts 1; above ``low``.

    Raises:
        ValueError: ``high`` is not above ``low``.

    Examples:
        >>> normalised_score(5.0, 0.0, 10.0)
        0.5
    """
    if not high > low:
        raise ValueError(f"normalised_score: high must be above low, got {high} and {low}.")
    return (value - low) / (high - low)
