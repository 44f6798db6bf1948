"""Running mean and standard deviation of everything seen so far, as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningScale(nn.Module):
    """Subtracts the mean of everything seen so far and divides by its standard deviation.

    Args:
        size: number of features F.

    Examples:
        >>> scale = RunningScale(1)
        >>> scale.update(torch.tensor([[1.0], [3.0]]))
        >>> scale(torch.tensor([3.0]))
        tensor([1.])
    """

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.zeros(size, dtype=torch.float64))

    @property
    def varies(self) -> Tensor:
        """Which features have varied so far by more than rounding can carry `[F]`."""
        # A mean of a thousand deviations, folded into weights in half precision, leaves nothing.
        smallest = 1e-3 * (self.mean.abs() + 0.1)
        return self.square - self.mean.square() > smallest.square()

    @property
    def std(self) -> Tensor:
        """Standard deviation `[F]`; 1 for features that do not vary."""
        variance = self.square - self.mean.square()
        return torch.where(self.varies, variance, 1.0).sqrt()

    def update(self, values: Tensor) -> None:
        """Take values `[..., F]` into account."""
        rows = values.detach().reshape(-1, values.shape[-1]).double()
        self.count += len(rows)
        share = len(rows) / self.count
        self.mean += share * (rows.mean(0) - self.mean)
        self.square += share * (rows.square().mean(0) - self.square)

    def forward(self, values: Tensor) -> Tensor:
        """The values `[..., F]`, scaled; 0 for features that do not vary."""
        return ((values - self.mean) / self.std * self.varies).to(values.dtype)
