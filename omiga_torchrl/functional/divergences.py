"""Divergences between policies, or between occupancies."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.functional.advantage import capped_exp
from omiga_torchrl.functional.bounds import feature_sum
from omiga_torchrl.shapes import Bool, Float


def categorical_kl(
    log_prob: Float[Tensor, "*batch actions"],
    other_log_prob: Float[Tensor, "*batch actions"],
    legal: Bool[Tensor, "*#batch actions"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``KL(p || q) = sum_a p(a) (log p(a) - log q(a))`` over the legal actions.

    Args:
        log_prob: log p, normalised; p(a) = 0, log p(a) = -inf is allowed and adds 0.
        other_log_prob: log q, normalised.
        legal: actions that count; all if None. The others change nothing, NaN included.

    Examples:
        >>> import torch
        >>> p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
        >>> categorical_kl(p.log(), q.log())  # log 2
        tensor(0.6931)
    """
    support = log_prob > -torch.inf
    if legal is not None:
        support = support & legal
    # Replaced before the product: 0 * inf would be NaN, in value and gradient.
    log_p, log_q = torch.where(support, log_prob, 0.0), torch.where(support, other_log_prob, 0.0)
    return torch.where(support, log_p.exp() * (log_p - log_q), 0.0).sum(-1)


def sampled_kl(
    log_prob: Float[Tensor, "*batch samples"], other_log_prob: Float[Tensor, "*batch samples"]
) -> Float[Tensor, "*batch"]:
    """``1/M sum_k (log p(a_k) - log q(a_k))``, ``a_k ~ p``: KL(p || q) (BRAC, arXiv:1911.11361).

    Unbiased; single estimates can be negative. Reparametrised samples carry its gradient to p.

    Args:
        log_prob: log p of samples of p.
        other_log_prob: log q of the same samples.

    Examples:
        >>> import torch
        >>> sampled_kl(torch.tensor([0.0, 1.0]), torch.tensor([-1.0, 0.0]))
        tensor(1.)
    """
    return (log_prob - other_log_prob).mean(-1)


def gaussian_kl(
    loc: Float[Tensor, "*batch features"],
    scale: Float[Tensor, "*batch features"],
    other_loc: Float[Tensor, "*batch features"],
    other_scale: Float[Tensor, "*batch features"],
    *,
    low: float | Float[Tensor, "*#batch features"] = -1.0,
    high: float | Float[Tensor, "*#batch features"] = 1.0,
) -> Float[Tensor, "*batch"]:
    """``KL(p || q)`` of Gaussians with independent features, and so of both after the same tanh.

    ``sum_d log(s' / s) + (s^2 + (m - m')^2) / (2 s'^2) - 1/2``. An invertible map of both leaves a
    divergence as it is; in samples of it, what tanh rounds to a bound would be lost.

    Args:
        loc: mean m of p.
        scale: standard deviation s of p, > 0.
        other_loc: mean m' of q.
        other_scale: standard deviation s' of q, > 0.

    Keyword Args:
        low: lower bound of what tanh makes of them.
        high: upper bound; a feature without a range is left out.

    Examples:
        >>> import torch
        >>> gaussian_kl(torch.ones(2), torch.ones(2), torch.zeros(2), torch.ones(2))
        tensor(1.)
    """
    ratio = scale / other_scale
    shift = (loc - other_loc) / other_scale
    return feature_sum(0.5 * (ratio.square() + shift.square() - 1) - ratio.log(), low, high)


def soft_chi_square_ratio(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``r(x) = exp(x)`` for x < 0, else ``x + 1``: the ratio of occupancies of ComaDICE (arXiv:2410.01954).

    The inverse of f', where f is the soft chi-square divergence: ``f(y) = y log y - y + 1`` for
    y < 1, else ``(y - 1)^2 / 2``. It is positive, and its slope is continuous.

    Args:
        x: ``(w_i (Q_i - V_i) - normaliser) / alpha``.

    Examples:
        >>> import torch
        >>> soft_chi_square_ratio(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0.3679, 1.0000, 3.0000])
    """
    # exp that goes on along its tangent at 0.
    return capped_exp(x, cap=0.0)


def soft_chi_square(x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """``g(x) = exp(x) (x - 1) + 1`` for x < 0, else ``x^2 / 2``: the divergence f(r(x)) of a ratio r(x).

    ``g'(x) = x r'(x)``, so the convex conjugate ``f*(x) = x r(x) - g(x)`` has the slope r(x).

    Args:
        x: as in :func:`soft_chi_square_ratio`.

    Examples:
        >>> import torch
        >>> soft_chi_square(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0.2642, 0.0000, 2.0000])
    """
    above = x.clamp(min=0)
    below = x - above
    return below.exp() * (below - 1) + 1 + above.square() / 2
