"""Diagnostics that all losses share, each with one name; a new one for all of them is added here only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tensordict import NestedKey
from torch import Tensor

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss
    from omiga_torchrl.objectives.view import TeamView

WEIGHT_METRICS = ("advantage", "effective_sample_size", "clip_fraction")
"""Statistics of a policy loss that weights the data's actions, see :meth:`TeamView.record_weights`."""


def common_metrics(loss: TeamLoss) -> list[NestedKey]:
    """Names of the diagnostics that a loss has because of its networks.

    ``td_error``: mean absolute TD error. ``tensor_keys.global_qvalue`` and ``global_value``: means of Q_tot
    and V_tot, without a mixer of Q_i and V_i. ``mixer_weight [N]``: mean weight of each agent.
    ``entropy``: of a discrete policy, in nats.

    Args:
        loss: a loss with its networks.
    """
    names, networks = loss.tensor_keys, loss.networks
    found: list[NestedKey] = []
    if "qvalue" in loss.terms:
        found += ["td_error", names.global_qvalue]
    if "value_network" in networks and loss.terms != ("qvalue",):  # Q's term reads V at the next step only
        found.append(names.global_value)
    if loss.has_linear_mixer:
        found.append("mixer_weight")
    is_mixed = loss.groups is not None and loss.groups.is_mixed
    if "actor" in loss.terms and not is_mixed and loss.is_discrete:
        found.append("entropy")
    return found


@torch.no_grad()
def collect_metrics(view: TeamView) -> dict[str, Tensor]:
    """The diagnostics of a batch whose terms have been evaluated; they evaluate nothing more than a mixer.

    What a term has recorded itself is taken as it is.

    Args:
        view: the batch.
    """
    loss, names = view.loss, view.loss.tensor_keys
    out = {}
    for name in common_metrics(loss):
        if name in view.metrics:
            out[name] = view.metrics[name]
        elif name == names.global_qvalue:
            out[name] = view.masked_mean(view.q_tot.mean(-1))
        elif name == names.global_value:
            out[name] = view.masked_mean(view.v_tot)
        elif name == "mixer_weight":
            weight = view.mixer_output.weight
            out[name] = masked_mean(weight, view.mask_for(weight), keep_agents=True)
        else:
            log_probs = view.policy_log_probs
            out[name] = view.masked_mean(-(log_probs.exp() * log_probs).nan_to_num().sum(-1))
    return out | {name: view.metrics[name] for name in loss.metrics}


def masked_mean(x: Tensor, mask: Tensor | None, *, keep_agents: bool = False) -> Tensor:
    """Mean over the entries under a mask; 0 if there is none.

    Args:
        x: values ``[*B, N]`` or ``[*B]``.
        mask: entries that count; None for all.

    Keyword Args:
        keep_agents: mean over the batch only, ``[N]``.
    """
    if mask is None:
        return x.flatten(0, -2).mean(0) if keep_agents else x.mean()
    x, mask = (x.flatten(0, -2), mask.flatten(0, -2)) if keep_agents else (x.flatten(), mask.flatten())
    return torch.where(mask, x, 0.0).sum(0) / mask.sum(0).clamp(min=1)
