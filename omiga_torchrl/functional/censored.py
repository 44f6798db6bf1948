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


def censored_gaussian_cross_entropy(
    loc: Float[Tensor, "*batch features"],
    scale: Float[Tensor, "*batch features"],
    other_loc: Float[Tensor, "*batch features"],
    other_scale: Float[Tensor, "*batch features"],
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """``- E_p log q`` of censored Gaussians p and q, features summed, exact; of p with itself its entropy.

    With ``l = (-1 - m) / s``, ``u = (1 - m) / s`` and the moments of p inside the bounds
    ``M0 = Phi(u) - Phi(l)``, ``M1 = s (phi(l) - phi(u))``, ``M2 = s^2 (M0 + l phi(l) - u phi(u))`` about m it
    is, feature by feature, with d = m - m'::

        - Phi(-u) log Phi(-u') - Phi(l) log Phi(l')
        + M0 log(s' sqrt(2 pi) h) + (M2 + 2 d M1 + d^2 M0) / (2 s'^2)

    Probabilities of the bounds, densities in between, as in :func:`censored_gaussian_log_density`.
    Reparametrised samples would give its value, but not its gradient: log q jumps at the bounds.

    Args:
        loc: mean m of the Gaussian behind p.
        scale: its standard deviation s, > 0.
        other_loc: mean m' of the one behind q.
        other_scale: its standard deviation s', > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound; a feature without a range counts nothing. h is half the range.

    Examples:
        >>> import torch
        >>> zero, one = torch.zeros(1), torch.ones(1)
        >>> censored_gaussian_cross_entropy(zero, one, zero, one)
        tensor(1.3109)
    """
    loc, scale, other_loc, other_scale = map(at_least_single, (loc, scale, other_loc, other_scale))
    lower, upper = (-1 - loc) / scale, (1 - loc) / scale
    phi_lower, phi_upper = ((-0.5 * x.square() - LOG_SQRT_TWO_PI).exp() for x in (lower, upper))
    below, above = torch.special.ndtr(lower), torch.special.ndtr(-upper)
    inside = torch.special.ndtr(upper) - below
    first = scale * (phi_lower - phi_upper)
    second = scale.square() * (inside + lower * phi_lower - upper * phi_upper)
    shift = loc - other_loc
    squares = second + 2 * shift * first + shift.square() * inside
    log_norm = other_scale.log() + LOG_SQRT_TWO_PI + log_bound(half_ranges(low, high))
    of_atoms = -above * log_normal_cdf((other_loc - 1) / other_scale)
    of_atoms = of_atoms - below * log_normal_cdf((-1 - other_loc) / other_scale)
    return feature_sum(of_atoms + inside * log_norm + squares / (2 * other_scale.square()), low, high)


def censored_gaussian_kl(
    loc: Float[Tensor, "*batch features"],
    scale: Float[Tensor, "*batch features"],
    other_loc: Float[Tensor, "*batch features"],
    other_scale: Float[Tensor, "*batch features"],
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """``KL(p || q)`` of censored Gaussians with the same bounds, features summed.

    The cross-entropy minus the entropy, see :func:`censored_gaussian_cross_entropy`. At most that of the
    Gaussians before they are clipped: it does not matter how far beyond a bound both lie.

    Args:
        loc: mean of the Gaussian behind p.
        scale: its standard deviation, > 0.
        other_loc: mean of the one behind q.
        other_scale: its standard deviation, > 0.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound; a feature without a range counts nothing.

    Examples:
        >>> import torch
        >>> one = torch.ones(1)
        >>> censored_gaussian_kl(9 * one, one, 7 * one, one) < 1e-6  # both are nearly always on the bound
        tensor(True)
    """
    cross = censored_gaussian_cross_entropy(loc, scale, other_loc, other_scale, low=low, high=high)
    return cross - censored_gaussian_cross_entropy(loc, scale, loc, scale, low=low, high=high)


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
