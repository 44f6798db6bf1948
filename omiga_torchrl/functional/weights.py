"""Weights of data actions: ICQ's, and those of advantage-weighted regression."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def softmax_weight(
    score: Float[Tensor, "*batch"],
    dims: tuple[int, ...],
    valid: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``n exp(x) / sum exp(x)`` over the valid entries of some dimensions (ICQ 2021). Detached.

    The partition function of ICQ's weights, estimated with the batch itself: the mean of
    the weights is 1. In one state this converges to ``exp(x) / E_mu[exp(x)]`` as the batch
    grows; over several states the estimate is the mean of their partition functions, so
    that states of high value get larger weights than states of low value.

    Args:
        score: exponents, e.g. ``Q / alpha``.
        dims: dimensions to normalise over, e.g. the batch but not the agents.
        valid: entries that count; all if None. The others get the weight 0.

    Examples:
        >>> import torch
        >>> softmax_weight(torch.tensor([0.0, 0.0, 9.0]), (0,), torch.tensor([True, True, False]))
        tensor([1., 1., 0.])
    """
    score = score.detach()
    if not dims:
        return torch.ones_like(score)
    if valid is None:
        valid = torch.ones_like(score, dtype=torch.bool)
    floor = torch.finfo(score.dtype).min
    score = score.masked_fill(~valid, floor)
    count = valid.sum(dims, keepdim=True)
    # Where nothing is valid, the differences are 0 and the weights are masked below.
    weight = (score - score.amax(dims, keepdim=True)).exp() * valid
    return weight * (count / weight.sum(dims, keepdim=True).clamp(min=torch.finfo(score.dtype).tiny))


def log_partition(
    score: Float[Tensor, "*batch actions"],
    log_mass: Float[Tensor, "*#batch actions"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``log Z = log sum_k m_k exp(x_k)``, the partition function of one state (ICQ 2021). Detached.

    Args:
        score: exponents of the actions of a state, e.g. ``Q / alpha``.
        log_mass: log probability of each action under the behaviour policy; None for
            samples from it, which count alike, ``1 / actions``.

    Examples:
        >>> import torch
        >>> log_partition(torch.tensor([0.0, 2.0]), torch.tensor([0.5, 0.5]).log()).exp()
        tensor(4.1945)
        >>> log_partition(torch.tensor([0.0, 2.0])).exp()  # the same masses
        tensor(4.1945)
    """
    score = score.detach()
    if log_mass is None:
        return score.logsumexp(-1) - math.log(score.shape[-1])
    return (score + log_mass.detach()).logsumexp(-1)


def counterfactual_advantage(
    action_value: Float[Tensor, "*batch actions"],
    probability: Float[Tensor, "*batch actions"],
    chosen_value: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch"]:
    """``Q_i(a_i) - sum_a pi_i(a) Q_i(a)``, the advantage of ICQ's released multi-agent code. Detached.

    Args:
        action_value: Q_i of every action, in units of return.
        probability: pi_i of every action.
        chosen_value: Q_i of the data action.

    Examples:
        >>> import torch
        >>> counterfactual_advantage(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), torch.tensor(3.0))
        tensor(1.)
    """
    return (chosen_value - (probability * action_value).sum(-1)).detach()


def clipped_exponential_weight(
    advantage: Float[Tensor, "*batch"], temperature: float | Float[Tensor, ""], maximum: float = 100.0
) -> Float[Tensor, "*batch"]:
    """``min(exp(A / temperature), maximum)``, the weight of a data action in weighted cloning. Detached.

    AWR (arXiv:1910.00177) takes standardised advantages, temperature 1 and maximum 20; AWAC
    (arXiv:2006.09359) 1 and 100; IQL (arXiv:2110.06169) 1/3 and 100.

    Args:
        advantage: A of the data action, in units of return (or standardised).
        temperature: > 0, in the unit of the advantage; IQL's beta is its inverse.
        maximum: the largest weight, > 0.

    Examples:
        >>> import torch
        >>> clipped_exponential_weight(torch.tensor([-1.0, 0.0, 1e9]), 1.0, 20.0)
        tensor([ 0.3679,  1.0000, 20.0000])
    """
    # Clipped before exp, which could overflow.
    return (advantage.detach() / temperature).clamp(max=math.log(maximum)).exp()


def standardise(
    advantage: Float[Tensor, "*batch"],
    valid: Bool[Tensor, "*batch"] | None = None,
    *,
    dims: tuple[int, ...] | None = None,
    epsilon: float = 1e-5,
) -> Float[Tensor, "*batch"]:
    """``(A - mean) / (std + epsilon)`` over the valid entries, as AWR's released code does. Detached.

    Args:
        advantage: advantages.
        valid: entries that count; all if None. The others get 0.
        dims: dimensions to normalise over, e.g. the batch but not the agents; None means all.
        epsilon: added to the (population) standard deviation.

    Examples:
        >>> import torch
        >>> standardise(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]))
        tensor([-1.0000,  1.0000,  0.0000])
    """
    if valid is None:
        valid = torch.ones_like(advantage, dtype=torch.bool)
    dims = tuple(range(advantage.ndim)) if dims is None else dims
    count = valid.sum(dims, keepdim=True).clamp(min=1)
    kept = torch.where(valid, advantage.detach(), 0.0)
    deviation = torch.where(valid, kept - kept.sum(dims, keepdim=True) / count, 0.0)
    variance = deviation.square().sum(dims, keepdim=True) / count
    return deviation / (variance.sqrt() + epsilon)
