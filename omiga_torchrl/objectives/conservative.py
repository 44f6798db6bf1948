"""Conservative penalties of a team: values of candidate actions against those of the data's."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.objectives.action_values import ActionValues
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.objectives.view import TeamView

Penalty = Literal["counterfactual", "joint", "summed"]


# Penalties ----------------------------------------------------------------------------------


def team_penalty(
    batch: TeamView,
    values: ActionValues,
    penalty: Penalty = "counterfactual",
    inverse_temperature: float = 0.0,
) -> Tensor:
    """Penalty of the team ``[*B]``, or without a mixer of every agent's own Q_i ``[*B, N]``; critics summed.

    Args:
        batch: the batch.
        values: of the candidates.
        penalty: see :class:`omiga_torchrl.objectives.cql.CQLLoss`; without a mixer all are one.
        inverse_temperature: of the counterfactual one's agent weights; 0 weights agents equally.
    """
    if not batch.loss.has_mixer:
        return _penalty(values.q, batch.q, values).sum(-1)
    if penalty == "joint":
        return joint_penalty(batch, values)
    if penalty == "summed":
        return summed_penalty(batch, values)
    if inverse_temperature:
        return counterfactual_penalty(batch, values, divergence_weights(batch, values, inverse_temperature))
    return counterfactual_penalty(batch, values, equal_weights(batch))


def counterfactual_penalty(batch: TeamView, values: ActionValues, agent_weight: Tensor) -> Tensor:
    """CFCQL's penalty of the team ``[*B]``: each agent's candidates while the others keep the data's actions.

    Args:
        batch: the batch, with any mixer.
        values: of the candidates.
        agent_weight: lambda_i, ``[*B, N]``, see :func:`equal_weights` and :func:`divergence_weights`.
    """
    per_agent = _penalty(*_counterfactual_values(batch, values.q), values).sum(-1)
    return (agent_weight * per_agent).sum(-1)


def joint_penalty(batch: TeamView, values: ActionValues) -> Tensor:
    """MA-CQL's penalty of the team ``[*B]``, over joint candidates.

    Args:
        batch: the batch, with any mixer.
        values: of the candidates; candidate c of all agents is one joint action.
    """
    present, log_weight = agents_that_take_part(batch), values.log_importance_weight
    if log_weight is not None:
        log_weight = torch.where(present[..., None, None], log_weight, 0.0).sum(-3)
    team_q = batch.mix(values.q.flatten(-2)).unflatten(-1, values.q.shape[-2:])
    penalty = F.conservative_penalty(team_q, batch.q_tot, log_importance_weight=log_weight).sum(-1)
    return torch.where(present.any(-1), penalty, 0.0)


def summed_penalty(batch: TeamView, values: ActionValues) -> Tensor:
    """ComaDICE's penalty of the team ``[*B]``: the agents' log-sums of ``w_i Q_i + b``, minus Q_tot once.

    Args:
        batch: the batch, with a linear mixer.
        values: of the candidates.
    """
    per_member = _penalty(*_counterfactual_values(batch, values.q), values)
    present = agents_that_take_part(batch)
    penalty = torch.where(present, per_member.sum(-1), 0.0).sum(-1)
    # Every agent's log-sum has a bias, the data's value one: n - 1 of each member are left over.
    biases = (present.sum(-1) - 1).clamp(min=0) * per_member.shape[-1]
    return penalty + biases * batch.mixer_output.bias


def _penalty(q: Tensor, data_q: Tensor, values: ActionValues) -> Tensor:
    log_weight, mask = values.log_importance_weight, values.action_mask
    return F.conservative_penalty(q, data_q, log_importance_weight=log_weight, action_mask=mask)


def _counterfactual_values(batch: TeamView, q: Tensor) -> tuple[Tensor, Tensor]:
    """Q_tot of every agent's candidates ``[*B, N, E, C]`` and of the data's actions ``[*B, N, E]``.

    With a linear mixer without what both have in common, the other agents' values and the bias.
    """
    if batch.loss.has_linear_mixer:
        weight = batch.mixer_output.weight.unsqueeze(-1)
        return weight.unsqueeze(-1) * q, weight * batch.q
    replaced_agent = torch.eye(q.shape[-3], dtype=torch.bool, device=q.device)[..., None, None]
    local = torch.where(replaced_agent, q.unsqueeze(-3), batch.q[..., None, :, None])  # [*B, N, N, E, C]
    team_q = batch.mix(local.flatten(-3)).unflatten(-1, q.shape[-3:])
    return team_q, batch.q_tot.unsqueeze(-2).expand(team_q.shape[:-1])


# Weights of agents --------------------------------------------------------------------------


def agents_that_take_part(batch: TeamView) -> Tensor:
    """True at the agents of every row that take part, ``[*B, N]``.

    Args:
        batch: the batch.
    """
    mask = batch.agent_mask
    return torch.ones_like(batch.q[..., 0], dtype=torch.bool) if mask is None else mask


def equal_weights(batch: TeamView) -> Tensor:
    """``1 / n`` for the n agents of every row that take part, ``[*B, N]``.

    Args:
        batch: the batch.
    """
    present = agents_that_take_part(batch).to(batch.q.dtype)
    return present / present.sum(-1, keepdim=True).clamp(min=1)


def divergence_weights(batch: TeamView, values: ActionValues, inverse_temperature: float) -> Tensor:
    """CFCQL's ``softmax_i(c KL(p_i || mu_i))``, ``[*B, N]``, detached; mu_i is the behavior network.

    p_i is the softmax, or the density, ``exp(w_i Q_i) / Z`` of the smallest critic, with
    ``w_i = dQ_tot / dQ_i``.

    Args:
        batch: the batch.
        values: of all actions, or of sampled ones.
        inverse_temperature: c, without unit.
    """
    parts = zip(batch.parts, values.parts or (values,), strict=True)
    divergence = batch.join([_divergence(part, of_part) for part, of_part in parts])
    return F.counterfactual_weights(divergence, inverse_temperature, agents_that_take_part(batch))


@torch.no_grad()
def _divergence(batch: TeamView, values: ActionValues) -> Tensor:
    """KL(p_i || mu_i) of agents of one kind of actions ``[*B, n]``."""
    q = F.ensemble_minimum(batch.weighted(values.q).transpose(-1, -2))
    if values.sampled is None:
        return _categorical_divergence(batch, q)
    action, sample_log_prob = values.sampled.action, values.sampled.log_prob
    log_mu = batch.with_distribution("behavior_network", lambda dist: dist.log_prob(action))
    return F.boltzmann_kl(q, sample_log_prob.movedim(0, -1), log_mu.movedim(0, -1))


def _categorical_divergence(batch: TeamView, q: Tensor) -> Tensor:
    mask, log_mu = batch.action_mask, log_probs(batch.distribution("behavior_network"))
    legal_q = q if mask is None else q.masked_fill(~mask, torch.finfo(q.dtype).min)
    return F.categorical_kl(legal_q.log_softmax(-1), log_mu, mask)
