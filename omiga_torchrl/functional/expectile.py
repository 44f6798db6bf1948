"""Expectile regression."""

from __future__ import annotations

from torch import Tensor

from omiga_torchrl.shapes import Float


def expectile_loss(difference: Float[Tensor, "*batch"], tau: float) -> Float[Tensor, "*batch"]:
    """``|tau - 1(u < 0)| u^2`` (IQL, arXiv:2110.06169).

    For ``u = target - prediction``, the prediction of least loss is the mean of the targets at
    ``tau = 0.5`` and tends to their maximum as tau goes to 1: a prediction that is too low then
    costs more than one that is too high.

    Args:
        difference: u, target minus prediction.
        tau: in (0, 1).

    Examples:
        >>> import torch
        >>> expectile_loss(torch.tensor([1.0, -1.0]), 0.9)
        tensor([0.9000, 0.1000])
    """
    return (tau - (difference < 0).to(difference.dtype)).abs() * difference.square()
