"""Conservative penalties: values of unseen actions down, values of the data's actions up."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def conservative_penalty(
    candidate_value: Float[Tensor, "*batch candidates"],
    data_value: Float[Tensor, "*batch"],
    *,
    log_importance_weight: Float[Tensor, "*#batch candidates"] | None = None,
    temperature: float | Float[Tensor, ""] = 1.0,
    action_mask: Bool[Tensor, "*#batch candidates"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``T log sum_k m_k exp(Q_k / T) - Q(data)`` (CQL, arXiv:2006.04779, equation 4).

    Over all actions of a discrete task (``log_importance_weight`` None), or over samples: a sample of
    density p stands for the volume ``m = 1 / p``, so ``log_importance_weight = -log p`` makes the sum an
    estimate of the integral over actions, up to the constant ``T log candidates``. With the team's values
    of one agent's candidates, while all other agents keep their data actions, it is CFCQL's
    counterfactual penalty (arXiv:2309.12696); under a linear mixer those are ``w_i Q_i``.

    Illegal candidates change neither value nor gradient, whatever they hold, NaN included; a row
    without any legal candidate gives 0.

    Args:
        candidate_value: Q of the candidates, in units of return.
        data_value: Q of the data action, in units of return.
        log_importance_weight: log m, volume or probability of each candidate; None means 1 each. Detached.
            Released CQL codes divide it by T, too; they all use T = 1.
        temperature: T > 0, in units of return.
        action_mask: candidates that count; all if None.

    Examples:
        >>> import torch
        >>> conservative_penalty(torch.zeros(4), torch.tensor(1.0))  # log 4 - 1
        tensor(0.3863)
        >>> conservative_penalty(torch.zeros(2), torch.tensor(1.0), action_mask=torch.tensor([True, False]))
        tensor(-1.)
    """
    log_m = 0.0 if log_importance_weight is None else log_importance_weight.detach()
    if action_mask is None:
        return temperature * (candidate_value / temperature + log_m).logsumexp(-1) - data_value
    has_candidate = action_mask.any(-1)
    # Selected twice: where() alone would leave 0 * nan in the gradient of what it drops.
    score = torch.where(action_mask, candidate_value, 0.0) / temperature + torch.where(
        action_mask, log_m, 0.0
    )
    score = score.masked_fill(~action_mask & has_candidate.unsqueeze(-1), -torch.inf)
    return torch.where(has_candidate, temperature * score.logsumexp(-1) - data_value, 0.0)


def counterfactual_weights(
    divergence: Float[Tensor, "*batch agents"],
    inverse_temperature: float,
    agent_mask: Bool[Tensor, "*batch agents"] | None = None,
) -> Float[Tensor, "*batch agents"]:
    """``softmax_i(c D_i)``: each agent's weight lambda_i in CFCQL's penalty (arXiv:2309.12696). Detached.

    Released: ``D_i = KL(softmax Q_i || mu_i)``, c > 0, so that the agent furthest from the data is
    penalised most.

    Args:
        divergence: D_i between policy and behavior policy of agent i, in nats.
        inverse_temperature: c, without unit; 0 gives every agent the same weight.
        agent_mask: agents that take part, all if None; the others have weight 0, NaN or not.

    Examples:
        >>> import torch
        >>> counterfactual_weights(torch.tensor([0.0, 1.0986]), 1.0)
        tensor([0.2500, 0.7500])
        >>> counterfactual_weights(torch.tensor([0.0, 1.0986]), 0.0)
        tensor([0.5000, 0.5000])
    """
    score = inverse_temperature * divergence.detach()
    if agent_mask is None:
        return score.softmax(-1)
    score = score.masked_fill(~agent_mask, torch.finfo(score.dtype).min)
    return torch.where(agent_mask, score.softmax(-1), 0.0)


def boltzmann_kl(
    value: Float[Tensor, "*batch samples"],
    sample_log_prob: Float[Tensor, "*batch samples"],
    other_log_prob: Float[Tensor, "*batch samples"],
) -> Float[Tensor, "*batch"]:
    """``KL(p || q)`` of the density ``p = exp(Q) / Z``, by samples of known density.

    With ``r_k = exp(Q_k) / density_k``: ``Z = mean_k r_k`` and, self-normalised,
    ``sum_k r_k / sum_j r_j (Q_k - log Z - log q_k)``. In CFCQL q is the behavior policy.

    Args:
        value: Q of the samples, in nats.
        sample_log_prob: log of the density that each sample was drawn with.
        other_log_prob: log q of the samples.

    Examples:
        >>> import torch
        >>> uniform = torch.full((2,), 0.5).log()  # on [-1, 1]; Z = 2 mean (1, 3) = 4, p = (1, 3) / 4
        >>> boltzmann_kl(torch.tensor([1.0, 3.0]).log(), uniform, uniform)  # (log 1/2 + 3 log 3/2) / 4
        tensor(0.1308)
    """
    score = value - sample_log_prob
    log_partition = score.logsumexp(-1, keepdim=True) - math.log(score.shape[-1])
    return (score.softmax(-1) * (value - log_partition - other_log_prob)).sum(-1)
