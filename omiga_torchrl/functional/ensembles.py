"""One value out of those of an ensemble, the members in the last dimension."""

from __future__ import annotations

from torch import Tensor

from omiga_torchrl.shapes import Float


def ensemble_minimum(values: Float[Tensor, "*batch members"]) -> Float[Tensor, "*batch"]:
    """``min_e Q_e``, the clipped double estimate for two members (TD3, arXiv:1802.09477).

    Args:
        values: Q of every member, in units of return.

    Examples:
        >>> import torch
        >>> ensemble_minimum(torch.tensor([[1.0, 3.0]]))
        tensor([1.])
    """
    return values.amin(-1)


def soft_minimum(values: Float[Tensor, "*batch members"], lam: float = 0.75) -> Float[Tensor, "*batch"]:
    """``lambda min_e Q_e + (1 - lambda) max_e Q_e`` (BCQ, arXiv:1812.02900).

    Args:
        values: Q of every member, in units of return.
        lam: lambda, the minimum's weight in [0, 1]; BCQ's 0.75.

    Examples:
        >>> import torch
        >>> soft_minimum(torch.tensor([[1.0, 3.0]]))  # 0.75 + 0.75
        tensor([1.5000])
    """
    return lam * values.amin(-1) + (1 - lam) * values.amax(-1)
