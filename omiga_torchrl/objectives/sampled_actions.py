"""Sampled actions with their densities, for estimates of integrals over actions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from omiga_torchrl import functional as F
from omiga_torchrl.functional.density import LOG_SQRT_TWO_PI
from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.modules.bounds import Bound


@dataclass
class SampledActions:
    """C sampled actions of every agent. An integral is estimated by the mean of what is integrated / density.

    Attributes:
        action: ``[C, *B, N, A]``.
        log_prob: log density that each was drawn with, ``[C, *B, N]``.
    """

    action: Tensor
    log_prob: Tensor

    @classmethod
    def concatenate(cls, parts: Iterable[SampledActions]) -> SampledActions:
        """All samples of several."""
        actions, densities = zip(*((part.action, part.log_prob) for part in parts), strict=True)
        return cls(torch.cat(actions), torch.cat(densities))

    @classmethod
    def uniform(cls, samples: int, like: Tensor, *, low: Bound, high: Bound) -> SampledActions:
        """Uniform actions.

        Args:
            samples: number M.
            like: actions ``[*B, N, A]``, for shape, dtype and device.

        Keyword Args:
            low: lower bound of actions.
            high: upper bound of actions.

        Examples:
            >>> SampledActions.uniform(4, torch.zeros(8, 3, 2), low=-1.0, high=1.0).log_prob[0, 0, 0]
            tensor(-1.3863)
        """
        unit = torch.rand((samples, *like.shape), dtype=like.dtype, device=like.device)
        action = low + (high - low) * unit
        if isinstance(low, Tensor) or isinstance(high, Tensor):
            log_volume = F.feature_sum(torch.as_tensor(2 * F.half_ranges(low, high)).log(), low, high)
            return cls(action, -log_volume.expand(unit.shape[:-1]))
        return cls(action, unit.new_full(unit.shape[:-1], -like.shape[-1] * math.log(high - low)))

    @classmethod
    def from_policy(cls, policy: Distribution, samples: int) -> SampledActions:
        """Samples of a stochastic policy with batch shape ``[*B, N]``; with gradients where it has any.

        Args:
            policy: the distribution.
            samples: number M.
        """
        if isinstance(policy, TanhGaussian):
            return cls(*policy.rsample_with_log_prob((samples,)))
        action = policy.rsample((samples,))
        return cls(action, policy.log_prob(action))

    @classmethod
    def gaussian(cls, action: Tensor, std: Bound, samples: int, *, low: Bound, high: Bound) -> SampledActions:
        """A deterministic policy's actions with Gaussian noise, truncated to the bounds.

        Args:
            action: ``[*B, N, A]``, inside the bounds.
            std: of the noise, in units of action; any number > 0 for a feature without a range.
            samples: number M.

        Keyword Args:
            low: lower bound of actions.
            high: upper bound of actions.

        Examples:
            >>> at_bound = SampledActions.gaussian(torch.ones(1, 1, 1), 0.2, 1000, low=-1.0, high=1.0)
            >>> bool((at_bound.action <= 1).all() & (at_bound.action > -1).all())
            True
        """
        below, above = torch.special.ndtr((low - action) / std), torch.special.ndtr((high - action) / std)
        share = below + (above - below) * torch.rand(
            (samples, *action.shape), dtype=action.dtype, device=action.device
        )
        # A share that rounds to 1 would be a sample infinitely far away.
        smallest = torch.finfo(share.dtype).eps
        noise = torch.special.ndtri(share.clamp(smallest, 1 - smallest))
        log_prob = -0.5 * noise.square() - LOG_SQRT_TWO_PI - F.log_bound(std) - (above - below).log()
        return cls(F.clamp_to_bounds(action + std * noise, low, high), F.feature_sum(log_prob, low, high))

    @classmethod
    def clipped_gaussian(
        cls, action: Tensor, std: Bound, samples: int, *, low: Bound, high: Bound
    ) -> SampledActions:
        """The same with actions clamped afterwards and densities from before, as OMAR's released code.

        Args:
            action: ``[*B, N, A]``, inside the bounds.
            std: of the noise, in units of action; any number > 0 for a feature without a range.
            samples: number M.

        Keyword Args:
            low: lower bound of actions.
            high: upper bound of actions.
        """
        noise = torch.randn((samples, *action.shape), dtype=action.dtype, device=action.device)
        log_prob = -0.5 * noise.square() - LOG_SQRT_TWO_PI - F.log_bound(std)
        return cls(F.clamp_to_bounds(action + std * noise, low, high), F.feature_sum(log_prob, low, high))
