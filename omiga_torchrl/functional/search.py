"""Search for the best action of a critic without its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from omiga_torchrl.functional.bounds import clamp_to_bounds
from omiga_torchrl.shapes import Float

Update = Literal["elites", "softmax"]


class CEMResult(NamedTuple):
    """Best action of every row that a search tried, detached.

    Attributes:
        action: ``[*batch, features]``.
        value: its value, ``[*batch]``.
    """

    action: Tensor
    value: Tensor


@torch.no_grad()
def cross_entropy_search(
    evaluate: Callable[[Tensor], Tensor],
    mean: Float[Tensor, "*batch features"],
    std: float | Float[Tensor, "*#batch #features"],
    *,
    iterations: int = 2,
    num_samples: int = 20,
    update: Update = "elites",
    num_elites: int = 5,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
    refit: bool = True,
    generator: torch.Generator | None = None,
) -> CEMResult:
    """Cross-entropy method, one search a row: draw from N(mean, std), move both to the good samples, repeat.

    Rows are independent, e.g. ``[*B, N]`` for one search per agent. Samples are clamped to the
    bounds. The result is the best action of all iterations. The two updates are OMAR's
    (arXiv:2111.11188):

    - ``"elites"``: mean and standard deviation (n - 1) of the best samples, the elites of the
      iteration before among them. Released for MuJoCo: 2 iterations, 20 samples, 5 elites.
    - ``"softmax"``: mean weighted with softmax(value) over the samples, so that the unit of the
      value matters; root mean square deviation from it, unweighted. Released for the particle
      environments: 3 iterations, 10 samples.

    Both released searches start at mean 0 and std 2. Samples so wide are mostly at the bounds, and
    a feature in which all elites are at the same bound has no spread left: it stays there. More
    elites, or a narrower start, make that rare.

    Args:
        evaluate: the critic, actions ``[samples, *batch, features] -> [samples, *batch]``.
        mean: start of the mean.
        std: start of the standard deviation, > 0.

    Keyword Args:
        iterations: at least 1.
        num_samples: draws an iteration.
        update: ``"elites"`` or ``"softmax"``.
        num_elites: how many the former keeps, at least 2.
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature.
        refit: False draws every iteration from the start, as a published reimplementation of
            OMAR does by mistake; this is random search.
        generator: of the samples.

    Raises:
        ValueError: if the numbers of iterations, samples and elites do not fit together, or the critic
            returns another shape.

    Examples:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> result = cross_entropy_search(
        ...     lambda action: -(action - 0.3).square().sum(-1), torch.zeros(4, 1), 1.0, iterations=8
        ... )
        >>> bool(((result.action - 0.3).abs() < 0.01).all()), result.value.shape
        (True, torch.Size([4]))
    """
    num_kept = num_elites if update == "elites" else 1
    if iterations < 1 or num_samples < num_kept or num_elites < 2:
        raise ValueError(
            "cross_entropy_search: iterations must be >= 1 and num_samples >= num_elites >= 2, got "
            f"{iterations}, {num_samples} and {num_elites}. Increase num_samples."
        )
    shape = (num_samples, *mean.shape)
    options: dict[str, Any] = {"dtype": mean.dtype, "device": mean.device}
    if generator is not None:  # Dynamo refuses the argument itself
        options["generator"] = generator
    elites: CEMResult | None = None
    for _ in range(iterations):
        noise = torch.randn(shape, **options)
        sampled = _evaluated(clamp_to_bounds(mean + std * noise, low, high), evaluate)
        # The elites of before hold the best action so far.
        pool = sampled if elites is None else CEMResult(*map(torch.cat, zip(sampled, elites, strict=True)))
        elites = _best(pool, num_kept)
        if refit:
            mean, std = _moments(elites.action) if update == "elites" else _weighted_moments(sampled)
    assert elites is not None
    return CEMResult(elites.action[0], elites.value[0])


def _evaluated(action: Tensor, evaluate: Callable[[Tensor], Tensor]) -> CEMResult:
    value = evaluate(action)
    if value.shape != action.shape[:-1]:
        raise ValueError(
            f"cross_entropy_search: evaluate must return [samples, *batch] = {tuple(action.shape[:-1])} for "
            f"actions {tuple(action.shape)}, got {tuple(value.shape)}. Squeeze its last dimension."
        )
    return CEMResult(action, value)


def _best(pool: CEMResult, count: int) -> CEMResult:
    """The best ``count`` actions of each row, best first."""
    value, index = pool.value.topk(count, 0)
    return CEMResult(pool.action.take_along_dim(index.unsqueeze(-1), 0), value)


def _moments(action: Tensor) -> tuple[Tensor, Tensor]:
    return action.mean(0), action.std(0)


def _weighted_moments(sampled: CEMResult) -> tuple[Tensor, Tensor]:
    mean = (sampled.value.softmax(0).unsqueeze(-1) * sampled.action).sum(0)
    return mean, (sampled.action - mean).square().mean(0).sqrt()
