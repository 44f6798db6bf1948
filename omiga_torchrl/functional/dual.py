"""Coefficients of loss terms: learned as a Lagrange multiplier, or set by the batch."""

from __future__ import annotations

import math

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
    constrained loss itself adds ``alpha c`` with a detached alpha. To bound alpha, see
    :func:`projected_log_alpha`.

    - CQL: c is the conservative penalty, threshold its gap.
    - BRAC: c is the divergence from the behavior policy.
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


def projected_log_alpha(
    log_alpha: Float[Tensor, ""], violation: Float[Tensor, ""], max_alpha: float
) -> Float[Tensor, ""]:
    """``min(log_alpha, log max_alpha)``, whose gradient never leads further beyond the bound.

    The projected gradient of a bounded multiplier in :func:`dual_loss`. A plain clamp has no gradient
    beyond the bound, so that alpha would never come back; this one has it as soon as the constraint is
    satisfied.

    Args:
        log_alpha: logarithm of the multiplier.
        violation: c - threshold as the loss adds it up over the batch: > 0 raises alpha.
        max_alpha: largest multiplier, > 0.

    Examples:
        >>> import math, torch
        >>> log_alpha = torch.tensor(math.log(9.0), requires_grad=True)
        >>> for c in (5.0, 3.0):  # threshold 4: violated, satisfied
        ...     bounded = projected_log_alpha(log_alpha, torch.tensor(c - 4), 2.0)
        ...     loss = dual_loss(bounded, torch.tensor(c), 4.0)
        ...     print(loss.item(), torch.autograd.grad(loss, log_alpha)[0].item())
        -2.0 0.0
        2.0 2.0
    """
    bound = math.log(max_alpha)
    learns = (log_alpha < bound) | (violation <= 0)
    kept = torch.where(learns, log_alpha, log_alpha.detach())
    return kept + (bound - log_alpha.detach()).clamp(max=0)


def td3_bc_lambda(
    qvalue: Float[Tensor, "*batch"],
    alpha: float | Float[Tensor, ""] = 2.5,
    mask: Bool[Tensor, "*batch"] | None = None,
    *,
    detach: bool = True,
) -> Float[Tensor, ""]:
    """``lambda = alpha / mean |Q|``, the factor of TD3+BC's objective (arXiv:2106.06860).

    With it the objective ``lambda Q - (pi(s) - a)^2`` does not depend on the unit of return.
    Without the detaching, the mean of ``Q / mean |Q|`` over values of one sign would be the
    constant +-1, of gradient zero, and only cloning would be left.

    Args:
        qvalue: Q of the policy's actions, in units of return.
        alpha: weight of the objective > 0, without unit; the larger, the less cloning.
        mask: entries that count; all if None. Without any, the factor is 0.
        detach: False leaves the gradient in, as OG-MARL's published code does by mistake.

    Examples:
        >>> import torch
        >>> td3_bc_lambda(torch.tensor([-4.0, 6.0]))  # 2.5 / 5
        tensor(0.5000)
    """
    size = qvalue.detach().abs() if detach else qvalue.abs()
    smallest = torch.finfo(size.dtype).eps
    if mask is None:
        return alpha / size.mean().clamp(min=smallest)
    count = mask.sum()
    mean = torch.where(mask, size, 0.0).sum() / count.clamp(min=1)
    return alpha / mean.clamp(min=smallest) * (count > 0)
