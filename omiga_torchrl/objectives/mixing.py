"""Mixing of local values into the team's, for linear and for any other monotonic mixers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_shape
from omiga_torchrl.objectives.evaluation import full_precision
from omiga_torchrl.objectives.networks import network_that_writes

if TYPE_CHECKING:
    from omiga_torchrl.objectives.view import TeamView


class MixerOutput(NamedTuple):
    """Weights ``[*B, N]`` and bias ``[*B]`` of a linear mixer; agents that take no part have weight 0."""

    weight: Tensor
    bias: Tensor


def read_mixer_output(view: TeamView) -> MixerOutput:
    """Weights and bias of a linear mixer; the bias may be the output of another network of the loss.

    Args:
        view: the batch; gives state, agents and mask.

    Raises:
        ValueError: the mixer does not write one weight for each agent.
    """
    component, names = type(view.loss).__name__, view.loss.tensor_keys
    out = view.run("mixer_network")
    weight, bias = full_precision(out.get(names.mixer_weight)), out.get(names.mixer_bias, None)
    if bias is None:
        bias = view.run(network_that_writes(view.loss, names.mixer_bias)).get(names.mixer_bias)
    expected = (*view.agents, 1)
    require_shape(component, names.mixer_weight, weight, expected, "[*batch, agents, 1]", "Check the mixer.")
    weight, bias, mask = weight.squeeze(-1), full_precision(bias).squeeze(-1), view.agent_mask
    weight = weight if mask is None else torch.where(mask, weight, 0.0)
    if view.loss.normalizes_mixer:
        return MixerOutput(F.normalized_weight(weight), torch.zeros_like(bias))
    return MixerOutput(weight, bias)


def mix_linear(view: TeamView, local: Tensor) -> Tensor:
    """``sum_i w_i(s) x_i + b(s)``: ``[*B]`` of ``[*B, N]``, or ``[*B, E]`` of an ensemble's ``[*B, N, E]``.

    Args:
        view: the batch.
        local: Q_i or V_i.
    """
    weight, bias = view.mixer_output
    if local.ndim > weight.ndim:
        return (weight.unsqueeze(-1) * local).sum(-2) + bias.unsqueeze(-1)
    return F.mix_linearly(local, weight, bias)


def mix_monotonic(view: TeamView, local: Tensor) -> Tensor:
    """``M(x_1, .., x_N; s)``: ``[*B]`` of ``[*B, N]``, or of every member ``[*B, E]`` of ``[*B, N, E]``.

    Agents that take no part enter as 0.

    Args:
        view: the batch.
        local: Q_i or V_i.
    """
    if local.ndim == len(view.agents):
        return mix_monotonic(view, local.unsqueeze(-1)).squeeze(-1)
    mask = view.agent_mask
    if mask is not None:
        local = torch.where(mask.unsqueeze(-1), local, 0.0)
    members = local.movedim(-1, 0).unsqueeze(-1)  # [E, *B, N, 1]

    def use(network: TensorDictModuleBase, inputs: Any) -> Tensor:
        for key in network.in_keys[1:]:
            value = inputs.get(key)
            inputs.set(key, value.expand(len(members), *value.shape))
        return cast(Tensor, network(inputs.set(network.in_keys[0], members)).get(network.out_keys[0]))

    # Where parameters have no gradient, the local values may still have one.
    mixed = view.with_network("mixer_network", use, detach_params=not view.has_grad)
    return full_precision(mixed).squeeze(-1).movedim(0, -1)


def agent_weight(view: TeamView) -> Tensor:
    """``dQ_tot / dQ_i`` at the data's actions ``[*B, N]``, detached; ones without a mixer.

    The w_i of a linear mixer. Of a monotonic one it is the slope at the smallest critic's Q_i, with which
    Q_tot is linear in a small change of one agent's value.

    Args:
        view: the batch.
    """
    if not view.loss.has_mixer:
        return torch.ones_like(view.q_min)
    if view.loss.has_linear_mixer:
        return view.mixer_output.weight.detach()
    slope = torch.func.grad(lambda local: mix_monotonic(view, local).sum())
    return cast(Tensor, slope(view.q_min.detach()).detach())
