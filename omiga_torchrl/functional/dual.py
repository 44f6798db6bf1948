"""Coefficients of loss terms: learned as a Lagrange multiplier, or set by the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def dual_loss(
    log_alpha: Float[Tensor, "*#batch"],
    constraint_value: Float[Tensor, "*batch"],
    threshold: float,
) -> Float[Tensor, "*batch"]:
    """``-alpha (c - threshold)``, the multiplier's loss of the constraint ``c <= threshold``.

    Descent on ``log_alpha`` raises alpha while the constraint is violated and lowers it while it
    is satisfied; the step is relative, so that alpha stays positive. ``c`` is detached: the
    constrained loss itself adds ``alpha c`` with a detached alpha. To bound alpha, clamp the
    parameter after a step: a clamp in the loss has no gradient beyond the bound, so that alpha
    would never come back.

    - CQL: c is the conservative penalty, threshold its gap.
    - BRAC: c is the divergence from the behaviour policy.
    - SAC: c is log pi, threshold minus the target entropy.

    Args:
        log_alpha: logarithm of the multiplier.
        constraint_value: c.
        threshold: what c may be at most.

    Examples:
        >>> import torch
        >>> log_alpha = torch.zeros((), requires_grad=True)
        >>> dual_loss(log_alpha, torch.tensor(3.0), 1.0).backward()
        >>> log_alpha.grad  # descent raises alpha
        tensor(-2.)
    """
    return -log_alpha.exp() * (constraint_value.detach() - threshold)


def td3_bc_lambda(
    qvalue: Float[Tensor, "*batch"],
    alpha: float | Float[Tensor, ""] = 2.5,
    mask: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """``lambda = alpha / mean |Q|``, the factor of TD3+BC's objective (arXiv:2106.06860). Detached.

    With it the objective ``lambda Q - (pi(s) - a)^2`` does not depend on the unit of return.
    Without the detaching, the mean of ``Q / mean |Q|`` over values of one sign would be the
    constant +-1, of gradient zero, and only cloning would be left.

    Args:
        qvalue: Q of the policy's actions, in units of return.
        alpha: weight of the objective > 0, without unit; the larger, the less cloning.
        mask: entries that count; all if None. Without any, the factor is 0.

    Examples:
        >>> import torch
        >>> td3_bc_lambda(torch.tensor([-4.0, 6.0]))  # 2.5 / 5
        tensor(0.5000)
    """
    size = qvalue.detach().abs()
    smallest = torch.finfo(size.dtype).eps
    if mask is None:
        return alpha / size.mean().clamp(min=smallest)
    count = mask.sum()
    mean = torch.where(mask, size, 0.0).sum() / count.clamp(min=1)
    return alpha / mean.clamp(min=smallest) * (count > 0)
