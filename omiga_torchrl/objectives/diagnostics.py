"""What a loss that weights actions tells about itself, detached."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omiga_torchrl.functional.advantage import Overflow

DIAGNOSTICS = (
    "scaled_advantage",
    "scaled_advantage_max",
    "overflow_share",
    "effective_sample_size",
    "alpha",
    "mixer_weight",
)


@dataclass
class LocalTerms:
    """What the value and policy losses share, each ``[*B, N]``.

    Attributes:
        qvalue: target Q_i of the data action, detached.
        value: V_i, with its gradient.
        weight: mixer weight w_i, detached.
        alpha: the alpha of this evaluation, scalar.
        z: scaled advantage, detached.
        valid: entries under the loss mask, or None.
    """

    qvalue: Tensor
    value: Tensor
    weight: Tensor
    alpha: Tensor
    z: Tensor
    valid: Tensor | None


def diagnose(local: LocalTerms, sample_size: Tensor, cap: float, overflow: Overflow) -> dict[str, Tensor]:
    """The entries :data:`DIAGNOSTICS`: scalars, but ``mixer_weight [N]``.

    Args:
        local: what the value and policy losses share.
        sample_size: effective sample size of the policy weights.
        cap: where exp ends.
        overflow: what happens beyond; a clamp acts on both sides.
    """
    valid = local.valid
    z = local.z if valid is None else torch.where(valid, local.z, 0.0)
    largest = z if valid is None else z.masked_fill(~valid, -torch.inf)
    beyond = z.abs() if overflow == "clamp" else z
    return {
        "scaled_advantage": masked_mean(z, valid),
        "scaled_advantage_max": largest.max(),
        "overflow_share": masked_mean((beyond > cap).to(z.dtype), valid),
        "effective_sample_size": sample_size,
        "alpha": local.alpha.clone(),
        "mixer_weight": masked_mean(local.weight, valid, keep_agents=True),
    }


def masked_mean(x: Tensor, valid: Tensor | None, *, keep_agents: bool = False) -> Tensor:
    """Mean over valid entries; with ``keep_agents`` over the batch only."""
    if valid is None:
        return x.flatten(0, -2).mean(0) if keep_agents else x.mean()
    x, valid = (x.flatten(0, -2), valid.flatten(0, -2)) if keep_agents else (x.flatten(), valid.flatten())
    return torch.where(valid, x, 0.0).sum(0) / valid.sum(0).clamp(min=1)
