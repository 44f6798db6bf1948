"""The censored Gaussian: a Gaussian clipped to bounds, with an atom on each of them."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from omiga_torchrl.functional.bounds import clamp_to_bounds, feature_sum, half_ranges, log_bound, to_unit
from omiga_torchrl.functional.density import LOG_SQRT_TWO_PI
from omiga_torchrl.functional.precision import at_least_single
from omiga_torchrl.shapes import Float

# Actions as near to a bound as this are on it: single precision, in units of half the range.
_ON_BOUND: Final = 1e-6


def censored_gaussian_log_density(
    action: Float[Tensor, "*batch features"],
    loc: Float[Tensor, "*#batch features"],
    scale: Float[Tensor, "*#batch features"],
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """Log likelihood of ``a = clip(m + h y, low, high)``, y ~ N(loc, scale), features summed.

    m is the middle and h half of the range. With ``u = (a - m) / h`` it is, feature by feature,
    ``log Phi((loc - 1) / scale)`` for an action on or beyond the upper bound,
    ``log Phi((-1 - loc) / scale)`` on or beyond the lower one, both probabilities, and in between the
    density ``log N(u; loc, scale) - log h``: the type I Tobit model (Tobin 1958, Econometrica 26(1)) with
    two limits. Half precision is computed in single.

    Args:
        action: actions, of any range.
        loc: mean of y, where the bounds are -1 and 1.
        scale: standard deviation of y, > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature; a feature without a range counts nothing.

    Examples:
        >>> import torch
        >>> at = torch.tensor([[0.0], [1.0], [-1.0]])
        >>> censored_gaussian_log_density(at, torch.zeros(1), torch.ones(1)).exp()  # N(0), and twice Phi(-1)
        tensor([0.3989, 0.1587, 0.1587])
    """
    action, loc, scale = at_least_single(action), at_least_single(loc), at_least_single(scale)
    unit = to_unit(action, low, high)
    is_above, is_below = unit >= 1 - _ON_BOUND, unit <= -1 + _ON_BOUND
    # One logarithm of a probability for both bounds; elsewhere of a number without consequence.
    sign = torch.where(is_below, -1.0, 1.0).to(loc.dtype)
    log_atom = log_normal_cdf((sign * loc - 1) / scale)
    inside = unit.clamp(-1, 1)
    log_half = log_bound(half_ranges(low, high))
    log_density = -0.5 * ((inside - loc) / scale).square() - scale.log() - LOG_SQRT_TWO_PI - log_half
    return feature_sum(torch.where(is_above | is_below, log_atom, log_density), low, high)


def log_normal_cdf(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``log Phi(x)``, accurate in both tails: :func:`torch.special.log_ndtr`, which ``vmap`` has no rule for.

    Below -1 it is ``log(erfcx(-x / sqrt 2) / 2) - x^2 / 2``, else ``log1p(-erfc(x / sqrt 2) / 2)``.

    Args:
        x: of single precision at least.

    Examples:
        >>> log_normal_cdf(torch.tensor([-3.0, 0.0]))
        tensor([-6.6077, -0.6931])
    """
    in_tail = x < -1
    low, high = torch.where(in_tail, x, -1.0), torch.where(in_tail, 1.0, x)
    tail = (torch.special.erfcx(-low * math.sqrt(0.5)) / 2).log() - low.square() / 2
    return torch.where(in_tail, tail, torch.log1p(-torch.special.erfc(high * math.sqrt(0.5)) / 2))


def censor(
    unit: Float[Tensor, "*batch features"],
    low: float | Float[Tensor, "*#batch features"],
    high: float | Float[Tensor, "*#batch features"],
) -> Float[Tensor, "*batch features"]:
    """``clip(m + h unit, low, high)``, m the middle and h half of the range.

    Args:
        unit: values for which the bounds are -1 and 1.
        low: lower bound of actions.
        high: upper bound.

    Examples:
        >>> censor(torch.tensor([-3.0, 0.5]), 0.0, 100.0)
        tensor([ 0., 75.])
    """
    return clamp_to_bounds((high + low) / 2 + (high - low) / 2 * unit, low, high)
