"""Distributions of actions."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from typing_extensions import Self

from omiga_torchrl.functional import gaussian_kl, tanh_gaussian_log_density
from omiga_torchrl.functional.density import log_density_after_tanh
from omiga_torchrl.functional.precision import at_least_single

Size = torch.Size | list[int] | tuple[int, ...]


class BoundedGaussian(Distribution, ABC):
    """Base of Gaussians whose samples are brought into bounds, independent features.

    Subclasses say how: :meth:`to_action`, and what that does to densities: ``log_prob``. Samples are of the
    precision of ``loc``; what they are made of, of single precision at least.

    Args:
        loc: mean of the Gaussian ``[*B, A]``.
        scale: its standard deviation ``[*B, A]``, > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature ``[*B, A]``. Default -1.
        high: upper bound of actions, or of each feature. Default 1. A feature without a range is padding: 0
            in samples, nothing in densities.
    """

    arg_constraints = {"loc": constraints.real_vector, "scale": constraints.positive}
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor, low: float | Tensor = -1.0, high: float | Tensor = 1.0
    ) -> None:
        self.loc, self.scale = loc, scale
        self.low, self.high = low, high
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @abstractmethod
    def to_action(self, x: Tensor) -> Tensor:
        """Values of the Gaussian ``[*B, A]`` as actions inside the bounds."""

    @abstractmethod
    def divergence_from(self, other: Self) -> Tensor:
        """``KL(self || other)`` ``[*B]``, exact.

        Args:
            other: with the same bounds.
        """

    @property
    def support(self) -> constraints.Constraint:
        """The box of actions."""
        return constraints.independent(constraints.interval(self.low, self.high), 1)

    def expand(self, batch_shape: Size, _instance: None = None) -> Self:
        """The same distribution with its batch dimensions expanded to ``batch_shape``."""
        shape = (*batch_shape, *self.event_shape)
        low, high = (x.expand(shape) if isinstance(x, Tensor) else x for x in (self.low, self.high))
        return type(self)(self.loc.expand(shape), self.scale.expand(shape), low=low, high=high)

    def unbounded_sample(self, sample_shape: Size = ()) -> Tensor:
        """Reparametrised samples of the Gaussian ``[*sample_shape, *B, A]``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        loc, scale = at_least_single(self.loc), at_least_single(self.scale)
        return loc + scale * torch.randn(shape, dtype=loc.dtype, device=loc.device)

    def rsample(self, sample_shape: Size = ()) -> Tensor:
        """Reparametrised samples of actions ``[*sample_shape, *B, A]``."""
        return self.to_action(self.unbounded_sample(sample_shape)).to(self.loc.dtype)

    @property
    def deterministic_sample(self) -> Tensor:
        """The action of the Gaussian's mean, which OMIGA acts with at evaluation."""
        return self.to_action(self.loc).to(self.loc.dtype)


class TanhGaussian(BoundedGaussian):
    """``low + (high - low) (1 + tanh(x)) / 2`` with x ~ N(loc, scale), independent features.

    The log density is exact and closed-form, about four times cheaper than
    ``TransformedDistribution``; the inverse is safe at the bounds (data actions equal
    to ``low`` or ``high`` are common), where it is evaluated 1e-7 inside them. There
    is no closed-form entropy or mean. Samples are of the precision of ``loc``; densities,
    and what samples are made of, of single precision at least.

    Args:
        loc: mean before tanh ``[*B, A]``.
        scale: standard deviation before tanh ``[*B, A]``, > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature ``[*B, A]``. Default -1.
        high: upper bound of actions, or of each feature. Default 1. A feature without a range is padding: 0
            in samples, nothing in densities.

    Examples:
        >>> policy = TanhGaussian(torch.zeros(3, 2), torch.ones(3, 2))
        >>> policy.log_prob(torch.zeros(3, 2))[0]  # 2 log N(0; 0, 1)
        tensor(-1.8379)
        >>> bool(policy.log_prob(torch.ones(3, 2)).isfinite().all())
        True
    """

    def to_action(self, x: Tensor) -> Tensor:
        """``low + (high - low) (1 + tanh(x)) / 2``."""
        return self.low + (self.high - self.low) * (1 + at_least_single(x).tanh()) / 2

    def rsample_with_log_prob(self, sample_shape: Size = ()) -> tuple[Tensor, Tensor]:
        """Samples and their log densities ``[*sample_shape, *B]``, exact at the bounds, too."""
        y = self.unbounded_sample(sample_shape)
        half_range = (self.high - self.low) / 2
        density = log_density_after_tanh(y, self.loc, self.scale, half_range=half_range)
        return self.to_action(y).to(self.loc.dtype), density

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density ``[*B]`` of actions ``[*B, A]``; actions outside the bounds are clamped."""
        return tanh_gaussian_log_density(value, self.loc, self.scale, low=self.low, high=self.high)

    def divergence_from(self, other: Self) -> Tensor:
        """``KL(self || other)`` ``[*B]``: that of the Gaussians before tanh.

        Args:
            other: with the same bounds.
        """
        return gaussian_kl(self.loc, self.scale, other.loc, other.scale, low=self.low, high=self.high)
