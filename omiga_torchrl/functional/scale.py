"""Scales of values, estimated by a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def mean_absolute_deviation(
    value: Float[Tensor, "*batch members"],
    valid: Bool[Tensor, "*batch"] | None = None,
    *,
    eps: float = 1e-6,
) -> Float[Tensor, " members"]:
    """``mean |Q - mean Q| + eps`` of each critic over the batch: SVN's scale (arXiv:2603.08399). Detached.

    Args:
        value: Q of every critic, in units of return.
        valid: entries that count; all if None.
        eps: least scale, in units of return.

    Examples:
        >>> import torch
        >>> mean_absolute_deviation(torch.tensor([[1.0], [3.0], [9.0]]), torch.tensor([True, True, False]))
        tensor([1.0000])
    """
    flat = value.detach().flatten(0, -2)
    if valid is None:
        return (flat - flat.mean(0)).abs().mean(0) + eps
    rows = valid.flatten().unsqueeze(-1)
    count = rows.sum().clamp(min=1)
    mean = torch.where(rows, flat, 0.0).sum(0) / count
    return torch.where(rows, (flat - mean).abs(), 0.0).sum(0) / count + eps
