"""BRAC's policy loss, unreduced."""

from __future__ import annotations

from torch import Tensor

from omiga_torchrl.shapes import Float


def brac_actor_loss(
    qvalue: Float[Tensor, "*batch"],
    divergence: Float[Tensor, "*batch"],
    entropy: Float[Tensor, "*batch"],
    alpha: float | Float[Tensor, ""] = 1.0,
    entropy_coeff: float | Float[Tensor, ""] = 0.0,
) -> Float[Tensor, "*batch"]:
    """``alpha D(pi, b) - Q(o, a ~ pi) - entropy_coeff H(pi)``: BRAC with a policy penalty (arXiv:1911.11361).

    Args:
        qvalue: Q of the policy's action, in units of return.
        divergence: of the policy from the behavior model, in nats.
        entropy: of the policy, in nats.
        alpha: price of divergence >= 0, in units of return; BRAC's 1.
        entropy_coeff: price of certainty >= 0, in units of return; BRAC's 0.

    Examples:
        >>> import torch
        >>> brac_actor_loss(
        ...     torch.tensor([3.0]), torch.tensor([0.5]), torch.tensor([1.0]), 2.0, 0.25
        ... )  # 1 - 3 - 1/4
        tensor([-2.2500])
    """
    return alpha * divergence - qvalue - entropy_coeff * entropy
