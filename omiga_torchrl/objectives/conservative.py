"""Conservative penalties of a team: values of candidate actions against those of the data's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.groups import pad_last
from omiga_torchrl.objectives.sampled_actions import SampledActions
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.objectives.view import TeamView

Penalty = Literal["counterfactual", "joint", "summed"]


@dataclass
class ActionValues:
    """Values of the C candidate actions of every agent that a penalty runs over.

    Attributes:
        q: Q_i, ``[*B, N, E, C]``.
        log_importance_weight: log volume that each action stands for, ``[*B, N, 1, C]``; None for 1 each.
        action_mask: actions that count, ``[*B, N, 1, C]``; None for all.
        sampled: the actions where they are samples of a continuous team.
        parts: of a mixed team, the values of the agents of each kind, in the order of ``TeamView.parts``.
    """

    q: Tensor
    log_importance_weight: Tensor | None = None
    action_mask: Tensor | None = None
    sampled: SampledActions | None = None
    parts: tuple[ActionValues, ...] = ()


# Candidates ---------------------------------------------------------------------------------


def sampled_action_values(
    batch: TeamView, sampled: SampledActions, *, importance_sampling: bool
) -> ActionValues:
    """Values of sampled actions of a continuous team.

    Args:
        batch: the batch.
        sampled: the actions, detached.

    Keyword Args:
        importance_sampling: each stands for the inverse of its density, not for 1.
    """
    q = batch.q_at(sampled.action).movedim(0, -1)
    log_weight = -sampled.log_prob.movedim(0, -1).unsqueeze(-2) if importance_sampling else None
    return ActionValues(q, log_weight, sampled=sampled)


def all_action_values(batch: TeamView) -> ActionValues:
    """Values of all actions of a discrete team, of which the legal ones count.

    Args:
        batch: the batch.
    """
    mask = batch.action_mask
    return ActionValues(
        batch.q_values.transpose(-1, -2), action_mask=None if mask is None else mask.unsqueeze(-2)
    )


def joint_action_values(batch: TeamView, samples: int, *, importance_sampling: bool) -> ActionValues:
    """Values of joint actions of a discrete team, uniform among the legal ones.

    Args:
        batch: the batch.
        samples: their number C.

    Keyword Args:
        importance_sampling: each agent's action stands for the number of its legal actions, not for 1.
    """
    q_values, mask = batch.q_values, batch.action_mask  # [*B, N, K, E]
    agents_and_actions = q_values.shape[:-1]
    score = torch.rand((samples, *agents_and_actions), dtype=q_values.dtype, device=q_values.device)
    if mask is None:
        mask = torch.ones(agents_and_actions, dtype=torch.bool, device=q_values.device)
    action = score.masked_fill(~mask, -1.0).argmax(-1).movedim(0, -1)
    q = q_values.take_along_dim(action.unsqueeze(-1), -2).transpose(-1, -2)
    if not importance_sampling:
        return ActionValues(q)
    log_weight = mask.sum(-1).clamp(min=1).to(q.dtype).log()
    return ActionValues(q, log_weight[..., None, None].expand(*action.shape[:-1], 1, samples))


def gather_values(batch: TeamView, compute: Callable[[TeamView], ActionValues]) -> ActionValues:
    """Values of the candidates of all agents; of a mixed team, whose numbers differ, filled up and masked.

    Args:
        batch: the batch.
        compute: the values of agents of one kind of actions.
    """
    parts = tuple(compute(part) for part in batch.parts)
    if len(parts) == 1:
        return parts[0]
    size = max(part.q.shape[-1] for part in parts)

    def filled_up(values: ActionValues) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.ones_like(values.q[..., :1, :], dtype=torch.bool)
        mask = mask if values.action_mask is None else values.action_mask
        log_weight = values.log_importance_weight
        log_weight = torch.zeros_like(mask, dtype=values.q.dtype) if log_weight is None else log_weight
        return pad_last(values.q, size), pad_last(log_weight, size), pad_last(mask, size, False)

    q, log_weight, mask = (batch.join(one) for one in zip(*map(filled_up, parts), strict=True))
    return ActionValues(q, log_weight, mask, parts=parts)


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
    q = F.ensemble_minimum(batch.weighted(values.q.detach()).transpose(-1, -2))
    if values.sampled is None:
        return _categorical_divergence(batch, q)
    action, sample_log_prob = values.sampled.action, values.sampled.log_prob
    log_mu = batch.with_distribution("behavior_network", lambda dist: dist.log_prob(action))
    return F.boltzmann_kl(q, sample_log_prob.movedim(0, -1), log_mu.movedim(0, -1))


def _categorical_divergence(batch: TeamView, q: Tensor) -> Tensor:
    mask, log_mu = batch.action_mask, log_probs(batch.distribution("behavior_network"))
    legal_q = q if mask is None else q.masked_fill(~mask, torch.finfo(q.dtype).min)
    return F.categorical_kl(legal_q.log_softmax(-1), log_mu, mask)
