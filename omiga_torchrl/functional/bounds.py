"""Bounds of continuous actions, and features that an agent of a team with unequal actions does not have."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from omiga_torchrl.shapes import Float


def half_ranges(low: float | Tensor, high: float | Tensor) -> float | Tensor:
    """``(high - low) / 2``, and 1 for a feature without a range, which is padding.

    Args:
        low: lower bound of actions.
        high: upper bound of actions.

    Examples:
        >>> import torch
        >>> half_ranges(torch.tensor([-3.0, 0.0]), torch.tensor([3.0, 0.0]))
        tensor([3., 1.])
    """
    half = (high - low) / 2
    return half.masked_fill(half == 0, 1.0) if isinstance(half, Tensor) else half


def to_unit(action: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Actions with the bounds -1 and 1: ``(a - (high + low) / 2) / ((high - low) / 2)``.

    Args:
        action: ``[*batch, features]``.
        low: lower bound of actions.
        high: upper bound of actions. A feature without a range is only centered.

    Examples:
        >>> to_unit(torch.tensor([0.0, 75.0]), 0.0, 100.0)
        tensor([-1.0000,  0.5000])
    """
    return (action - (high + low) / 2) / half_ranges(low, high)


def log_bound(x: float | Tensor) -> float | Tensor:
    """Logarithm of half a range, or of another quantity in units of action, that is a number or a tensor.

    Args:
        x: > 0.

    Examples:
        >>> log_bound(1.0)
        0.0
    """
    return x.log() if isinstance(x, Tensor) else math.log(x)


def feature_sum(
    x: Float[Tensor, "*batch features"], low: float | Tensor, high: float | Tensor
) -> Float[Tensor, "*batch"]:
    """Sum over the action features that an agent has.

    Args:
        x: one value a feature.
        low: lower bound of actions.
        high: upper bound of actions; equal to ``low`` where the agent lacks a feature.

    Examples:
        >>> import torch
        >>> feature_sum(torch.tensor([2.0, 5.0]), torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]))
        tensor(2.)
    """
    if not (isinstance(low, Tensor) or isinstance(high, Tensor)):
        return x.sum(-1)
    return x.masked_fill(torch.as_tensor(low == high, device=x.device), 0.0).sum(-1)


def feature_mean(
    x: Float[Tensor, "*batch features"], low: float | Tensor, high: float | Tensor
) -> Float[Tensor, "*batch"]:
    """Mean over the action features that an agent has; 0 if it has none.

    Args:
        x: one value a feature.
        low: lower bound of actions.
        high: upper bound of actions; equal to ``low`` where the agent lacks a feature.

    Examples:
        >>> import torch
        >>> feature_mean(torch.tensor([2.0, 5.0]), torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]))
        tensor(2.)
        >>> feature_mean(torch.tensor([2.0, 5.0]), -1.0, 1.0)
        tensor(3.5000)
    """
    if not (isinstance(low, Tensor) or isinstance(high, Tensor)):
        return x.mean(-1)
    counted = torch.as_tensor(low != high, device=x.device)
    return feature_sum(x, low, high) / counted.sum(-1).clamp(min=1)


def clamp_to_bounds(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """``x`` inside bounds that are numbers or tensors.

    Args:
        x: actions ``[*batch, features]``.
        low: lower bound of actions.
        high: upper bound of actions.

    Examples:
        >>> clamp_to_bounds(torch.tensor([-2.0, 3.0]), -1.0, torch.tensor([1.0, 2.0]))
        tensor([-1.,  2.])
    """
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        lower, upper = (torch.as_tensor(bound, dtype=x.dtype, device=x.device) for bound in (low, high))
        return x.clamp(lower, upper)
    return x.clamp(low, high)
