"""Log densities of policies."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from omiga_torchrl.functional.bounds import half_ranges
from omiga_torchrl.functional.precision import at_least_single
from omiga_torchrl.shapes import Float

LOG_TWO = math.log(2)
LOG_SQRT_TWO_PI = 0.5 * math.log(2 * math.pi)


def tanh_gaussian_log_density(
    action: Float[Tensor, "*batch features"],
    loc: Float[Tensor, "*#batch features"],
    scale: Float[Tensor, "*#batch features"],
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
    margin: float = 1e-7,
) -> Float[Tensor, "*batch"]:
    """Log density of ``a = low + (high - low) (1 + tanh y) / 2``, y ~ N(loc, scale), features summed.

    ``sum_d log N(y; loc, scale) - 2 (log 2 - y - softplus(-2 y)) - log((high - low) / 2)``
    with ``y = atanh`` of the action rescaled to [-1, 1] and clamped to ``1 - margin``
    (OMIGA's published margin), so that actions at or beyond the bounds have a finite
    density. Half precision is computed in single: 1 - 1e-7 is 1 there.

    Args:
        action: actions, of any range; clamped to the bounds.
        loc: mean of y.
        scale: standard deviation of y, > 0.
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature. A feature without a range counts nothing: it
            fills up the actions of agents that have fewer than others.
        margin: distance kept from the bounds, in units of half the range; at least the smallest that
            the precision can tell from 0.

    Examples:
        >>> import torch
        >>> tanh_gaussian_log_density(torch.zeros(1), torch.zeros(1), torch.ones(1))
        tensor(-0.9189)
    """
    half_range = (high - low) / 2
    action = at_least_single(action)
    margin = max(margin, torch.finfo(action.dtype).eps / 2)
    if isinstance(half_range, Tensor) or half_range != 1 or low != -1:
        squashed = (action - low) / half_ranges(low, high) - 1
    else:
        squashed = action
    y = torch.atanh(squashed.clamp(-1 + margin, 1 - margin))
    return log_density_after_tanh(y, loc, scale, half_range=half_range)


def log_density_after_tanh(
    y: Float[Tensor, "*batch features"],
    loc: Float[Tensor, "*#batch features"],
    scale: Float[Tensor, "*#batch features"],
    *,
    half_range: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """Log density of the action that y has become by tanh, for whoever drew y and so knows it.

    Exact however close to a bound the action is: an action that tanh rounds to the bound no longer
    tells its y, so that the density of an action there can be wrong by hundreds of orders of magnitude.

    Args:
        y: before tanh.
        loc: mean of y.
        scale: standard deviation of y, > 0.
        half_range: half the range of actions, or of each feature; a feature of 0 counts nothing.

    Examples:
        >>> import torch
        >>> at = torch.full((1,), 9.0)
        >>> log_density_after_tanh(at, at, torch.full((1,), 0.02))
        tensor(19.6068)
        >>> tanh_gaussian_log_density(at.tanh(), at, torch.full((1,), 0.02)).round()
        tensor(-564.)
    """
    y, loc, scale = at_least_single(y), at_least_single(loc), at_least_single(scale)
    log_normal = -0.5 * ((y - loc) / scale).square() - scale.log()
    log_slope = 2 * (LOG_TWO - y - F.softplus(-2 * y))
    if isinstance(half_range, Tensor):
        is_padding = half_range == 0
        log_range = half_range.masked_fill(is_padding, 1.0).log()
        density = log_normal - log_slope - LOG_SQRT_TWO_PI - log_range
        return density.masked_fill(is_padding, 0.0).sum(-1)
    constant = LOG_SQRT_TWO_PI + math.log(half_range)
    return (log_normal - log_slope).sum(-1) - constant * y.shape[-1]
