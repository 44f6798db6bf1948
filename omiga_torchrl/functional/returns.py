"""Discounted returns of recorded episodes."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Float, Int


def returns_to_go(
    reward: Float[Tensor, " steps"], remaining: Int[Tensor, " steps"], gamma: float
) -> Float[Tensor, " steps"]:
    """``G_t = sum_(k < n_t) gamma^k r_(t+k)``: the discounted return of the rest of an episode.

    Sums over spans that double are added, so that long episodes take few passes over the data:
    ``G^(2m)_t = G^(m)_t + gamma^m G^(m)_(t+m)`` as long as ``t + m`` is in the episode.

    Args:
        reward: of all steps, one episode after the other `[T]`.
        remaining: n_t, the steps of its episode from this one on, itself included `[T]`.
        gamma: discount, in [0, 1].

    Returns:
        G_t `[T]`, in double precision.

    Examples:
        >>> returns_to_go(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([3, 2, 1, 1]), 0.5).tolist()
        [3.0, 4.0, 4.0, 8.0]
    """
    total, span = reward.double(), 1
    while span < int(remaining.max()):
        later = torch.zeros_like(total)
        later[:-span] = total[span:]
        total = torch.where(remaining > span, total + gamma**span * later, total)
        span *= 2
    return total
