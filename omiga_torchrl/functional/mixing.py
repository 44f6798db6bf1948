"""Mixing local values of the agents into one of the team."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Float


def mix_linearly(
    local: Float[Tensor, "*batch agents"],
    mixer_weight: Float[Tensor, "*#batch agents"],
    mixer_bias: Float[Tensor, "*#batch"],
) -> Float[Tensor, "*batch"]:
    """``sum_i w_i(s) x_i + b(s)`` (OMIGA 2023, section 3.2); with w = 1, b = 0 it is VDN.

    Args:
        local: Q_i or V_i; may have dimensions in front that the mixer's outputs lack.
        mixer_weight: w_i >= 0.
        mixer_bias: b.

    Examples:
        >>> import torch
        >>> mix_linearly(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.5]), torch.tensor(1.0))
        tensor(5.)
    """
    return (mixer_weight * local).sum(-1) + mixer_bias


def normalized_weight(mixer_weight: Float[Tensor, "*batch agents"]) -> Float[Tensor, "*batch agents"]:
    """``w_i / sum_j w_j``, 0 where all are 0: the weights of ICQ's released mixer (ICQ 2021).

    Args:
        mixer_weight: w_i >= 0; 0 for agents that take no part.

    Examples:
        >>> import torch
        >>> normalized_weight(torch.tensor([1.0, 3.0, 0.0]))
        tensor([0.2500, 0.7500, 0.0000])
    """
    tiny = torch.finfo(mixer_weight.dtype).tiny
    return mixer_weight / mixer_weight.sum(-1, keepdim=True).clamp(min=tiny)
