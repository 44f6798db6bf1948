"""Scaled advantages and what OMIGA makes of them: value loss and policy weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float

ClipMode = Literal["linear", "clamp"]


def scaled_advantage(
    local_qvalue: Float[Tensor, "*batch agents"],
    local_value: Float[Tensor, "*batch agents"],
    mixer_weight: Float[Tensor, "*batch agents"],
    alpha: float | Float[Tensor, ""],
) -> Float[Tensor, "*batch agents"]:
    """``z_i = w_i (Q_i - V_i) / alpha`` (OMIGA 2023, section 3.2).

    Args:
        local_qvalue: Q_i of the data action, in units of return.
        local_value: V_i, in units of return.
        mixer_weight: w_i(s) >= 0, without unit.
        alpha: regularisation strength > 0, in units of return.

    Returns:
        z, without unit; positive where the data action is better than V_i.

    Examples:
        >>> import torch
        >>> scaled_advantage(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([0.5]), 2.0)
        tensor([0.5000])
    """
    return mixer_weight * (local_qvalue - local_value) / alpha


def capped_exp(
    z: Float[Tensor, "*batch agents"], cap: float = 10.0, clip_mode: ClipMode = "linear"
) -> Float[Tensor, "*batch agents"]:
    """``exp(z)`` that cannot overflow.

    ``"linear"``: beyond ``cap`` it goes on along its tangent, ``exp(cap) (1 + z - cap)``,
    so value and gradient are continuous and never zero.
    ``"clamp"``: ``exp(clamp(z, -cap, cap))`` as in OMIGA's released code; the gradient is
    zero outside.

    Args:
        z: exponents.
        cap: where exp ends, > 0.
        clip_mode: what happens beyond.

    Examples:
        >>> import torch
        >>> capped_exp(torch.tensor([0.0, 3.0]), cap=2.0)  # e^2 (1 + 3 - 2)
        tensor([ 1.0000, 14.7781])
        >>> capped_exp(torch.tensor([0.0, 3.0]), cap=2.0, clip_mode="clamp")
        tensor([1.0000, 7.3891])
    """
    if clip_mode == "clamp":
        return z.clamp(-cap, cap).exp()
    excess = (z - cap).clamp(min=0)
    return (z - excess).exp() * (1 + excess)


def omiga_value_loss(
    local_qvalue: Float[Tensor, "*batch agents"],
    local_value: Float[Tensor, "*batch agents"],
    mixer_weight: Float[Tensor, "*batch agents"],
    alpha: float | Float[Tensor, ""],
    *,
    max_exponent: float = 10.0,
    clip_mode: ClipMode = "linear",
) -> Float[Tensor, "*batch agents"]:
    """``exp(z_i) + w_i V_i / alpha``, ``z_i = w_i (Q_i - V_i) / alpha`` (OMIGA 2023, local value loss).

    Its minimum over V_i satisfies ``E_mu[exp(z_i)] = 1``. The gradient reaches every
    input that requires one; OMIGA wants it for ``local_value`` only, so give Q and w
    detached.

    Args:
        local_qvalue: Q_i of the data action, in units of return.
        local_value: V_i, in units of return.
        mixer_weight: w_i(s) >= 0.
        alpha: regularisation strength > 0, in units of return.
        max_exponent: where exp ends, see :func:`capped_exp`.
        clip_mode: what happens beyond. The clamp leaves only the linear term there, which
            pushes V down, away from its minimum; the default pushes it up.

    Examples:
        >>> import torch
        >>> one = torch.tensor([1.0])
        >>> omiga_value_loss(one, one, one, 2.0)  # exp(0) + 1/2
        tensor([1.5000])
    """
    z = scaled_advantage(local_qvalue, local_value, mixer_weight, alpha)
    return capped_exp(z, max_exponent, clip_mode) + mixer_weight * local_value / alpha


def policy_weight(
    z: Float[Tensor, "*batch agents"],
    *,
    max_exponent: float = 10.0,
    clip_mode: ClipMode = "linear",
) -> Float[Tensor, "*batch agents"]:
    """``exp(z_i)``, the weight of a data action in policy extraction (OMIGA 2023). Detached.

    Args:
        z: scaled advantages.
        max_exponent: where exp ends, see :func:`capped_exp`.
        clip_mode: what happens beyond.

    Examples:
        >>> import torch
        >>> policy_weight(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return capped_exp(z.detach(), max_exponent, clip_mode)


def batch_max_scale(
    z: Float[Tensor, "*batch agents"],
    cap: float = 10.0,
    valid: Bool[Tensor, "*batch agents"] | None = None,
) -> Float[Tensor, ""]:
    """``exp(-max(-1, max z))`` over the batch, z clamped to ``[-cap, cap]``. Detached.

    OMIGA's released code multiplies its value loss by it, so that the loss of a sample
    depends on the others of its batch.

    Args:
        z: scaled advantages.
        cap: bound of z.
        valid: entries that count; all if None.

    Examples:
        >>> import torch
        >>> batch_max_scale(torch.tensor([-3.0, -2.0]))  # exp(1)
        tensor(2.7183)
    """
    clamped = z.detach().clamp(-cap, cap)
    if valid is not None:
        clamped = clamped.masked_fill(~valid, -cap)
    return clamped.max().clamp(min=-1).neg().exp()


def effective_sample_size(
    weights: Float[Tensor, "*batch agents"], valid: Bool[Tensor, "*batch agents"] | None = None
) -> Float[Tensor, ""]:
    """``(sum w)^2 / (n sum w^2)``, the share of samples that carry the weights, in (0, 1].

    1 means that all weights are equal (behaviour cloning), 1/n that one sample has all.

    Args:
        weights: weights >= 0.
        valid: entries that count; all if None.

    Examples:
        >>> import torch
        >>> effective_sample_size(torch.tensor([1.0, 1.0, 0.0, 0.0]))
        tensor(0.5000)
    """
    count: Tensor | int = weights.numel()
    if valid is not None:
        weights = torch.where(valid, weights, 0.0)
        count = valid.sum().clamp(min=1)
    largest = weights.amax().clamp(min=torch.finfo(weights.dtype).tiny)
    weights = weights / largest
    # Without any weight it is 0, not 0 / 0.
    squares = (count * weights.square().sum()).clamp(min=torch.finfo(weights.dtype).tiny)
    return weights.sum().square() / squares


def updated_alpha(
    alpha: Float[Tensor, ""], sample_size: Float[Tensor, ""], *, target: float = 0.4, rate: float = 0.01
) -> Float[Tensor, ""]:
    """``alpha exp(rate (target - sample_size))``: one step of alpha towards a target sample size.

    The effective sample size grows with alpha, so a batch whose weights are too even
    lowers alpha and one whose weights are too peaked raises it. The step is
    multiplicative, hence independent of the unit of return.

    Args:
        alpha: current value > 0, in units of return.
        sample_size: effective sample size of the batch's policy weights, in (0, 1].
        target: sample size wanted, in (0, 1).
        rate: step size.

    Examples:
        >>> import torch
        >>> updated_alpha(torch.tensor(2.0), torch.tensor(0.4))
        tensor(2.)
        >>> bool(updated_alpha(torch.tensor(2.0), torch.tensor(0.9)) < 2)
        True
    """
    return alpha * (rate * (target - sample_size)).exp()
