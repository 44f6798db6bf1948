"""Search for the best action of a critic without its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from omiga_torchrl.shapes import Float

Update = Literal["elites", "softmax"]


class Found(NamedTuple):
    """What a search found, detached.

    Attributes:
        action: the best action of each row, ``[*batch, features]``.
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
    samples: int = 20,
    update: Update = "elites",
    elites: int = 5,
    low: float = -1.0,
    high: float = 1.0,
    refine: bool = True,
    generator: torch.Generator | None = None,
) -> Found:
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
        samples: draws an iteration.
        update: ``"elites"`` or ``"softmax"``.
        elites: how many the former keeps, at least 2.
        low: lower bound of actions.
        high: upper bound of actions.
        refine: False draws every iteration from the start, as a published reimplementation of
            OMAR does by mistake; this is random search.
        generator: of the samples.

    Raises:
        ValueError: if the numbers of iterations, samples and elites do not fit together, or the critic
            returns another shape.

    Examples:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> found = cross_entropy_search(
        ...     lambda action: -(action - 0.3).square().sum(-1), torch.zeros(4, 1), 1.0, iterations=8
        ... )
        >>> bool(((found.action - 0.3).abs() < 0.01).all()), found.value.shape
        (True, torch.Size([4]))
    """
    least = elites if update == "elites" else 1
    if iterations < 1 or samples < least or elites < 2:
        raise ValueError(
            f"cross_entropy_search: iterations={iterations}, samples={samples}, elites={elites}; expected "
            "iterations >= 1 and samples >= elites >= 2."
        )
    centre, spread = mean, std
    kept: Found | None = None
    for _ in range(iterations):
        noise = torch.randn(samples, *mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        drawn = _evaluated((centre + spread * noise).clamp(low, high), evaluate)
        # Whatever is kept holds the best action so far.
        pool = drawn if kept is None else Found(*map(torch.cat, zip(drawn, kept, strict=True)))
        kept = _best(pool, elites if update == "elites" else 1)
        if refine:
            centre, spread = _moments(kept.action) if update == "elites" else _weighted_moments(drawn)
    assert kept is not None
    return Found(kept.action[0], kept.value[0])


def _evaluated(action: Tensor, evaluate: Callable[[Tensor], Tensor]) -> Found:
    value = evaluate(action)
    if value.shape != action.shape[:-1]:
        raise ValueError(
            f"cross_entropy_search: evaluate returned shape {tuple(value.shape)} for actions "
            f"{tuple(action.shape)}; expected [samples, *batch] = {tuple(action.shape[:-1])}. "
            "Did you forget squeeze(-1)?"
        )
    return Found(action, value)


def _best(pool: Found, count: int) -> Found:
    """The best ``count`` actions of each row, best first."""
    value, index = pool.value.topk(count, 0)
    return Found(pool.action.take_along_dim(index.unsqueeze(-1), 0), value)


def _moments(action: Tensor) -> tuple[Tensor, Tensor]:
    return action.mean(0), action.std(0)


def _weighted_moments(drawn: Found) -> tuple[Tensor, Tensor]:
    mean = (drawn.value.softmax(0).unsqueeze(-1) * drawn.action).sum(0)
    return mean, (drawn.action - mean).square().mean(0).sqrt()
