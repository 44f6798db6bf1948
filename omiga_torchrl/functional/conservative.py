"""Conservative penalties: values of unseen actions down, values of the data's actions up."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


def conservative_penalty(
    candidate_value: Float[Tensor, "*batch candidates"],
    data_value: Float[Tensor, "*batch"],
    *,
    log_mass: Float[Tensor, "*#batch candidates"] | None = None,
    temperature: float | Float[Tensor, ""] = 1.0,
    legal: Bool[Tensor, "*#batch candidates"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``T log sum_k m_k exp(Q_k / T) - Q(data)`` (CQL, arXiv:2006.04779, equation 4).

    The same for all actions of a discrete task (``log_mass`` None) and for samples: a sample of
    density p stands for the volume ``m = 1 / p``, so ``log_mass = -log p`` makes the sum an
    estimate of the integral over actions, up to the constant ``T log candidates``. With the values
    ``w_i Q_i`` of one agent it is CFCQL's counterfactual penalty under a linear mixer, where all
    other agents keep their data actions (arXiv:2309.12696).

    Illegal candidates change neither value nor gradient, whatever they hold, NaN included; a row
    without any legal candidate gives 0.

    Args:
        candidate_value: Q of the candidates, in units of return.
        data_value: Q of the data action, in units of return.
        log_mass: log volume or log probability of each candidate; None means 1 each. Detached.
            Released CQL codes divide it by T, too; they all use T = 1.
        temperature: T > 0, in units of return.
        legal: candidates that count; all if None.

    Examples:
        >>> import torch
        >>> conservative_penalty(torch.zeros(4), torch.tensor(1.0))  # log 4 - 1
        tensor(0.3863)
        >>> conservative_penalty(torch.zeros(2), torch.tensor(1.0), legal=torch.tensor([True, False]))
        tensor(-1.)
    """
    mass = 0.0 if log_mass is None else log_mass.detach()
    if legal is None:
        return temperature * (candidate_value / temperature + mass).logsumexp(-1) - data_value
    some = legal.any(-1)
    # Selected twice: where() alone would leave 0 * nan in the gradient of what it drops.
    score = torch.where(legal, candidate_value, 0.0) / temperature + torch.where(legal, mass, 0.0)
    score = score.masked_fill(~legal & some.unsqueeze(-1), -torch.inf)
    return torch.where(some, temperature * score.logsumexp(-1) - data_value, 0.0)


def counterfactual_shares(
    divergence: Float[Tensor, "*batch agents"], inverse_temperature: float
) -> Float[Tensor, "*batch agents"]:
    """``softmax_i(c D_i)``, the share of each agent in CFCQL's penalty (arXiv:2309.12696). Detached.

    Released: ``D_i = KL(softmax Q_i || mu_i)``, c > 0, so that the agent furthest from the data is
    penalised most.

    Args:
        divergence: D_i between policy and behaviour policy of agent i.
        inverse_temperature: c; 0 gives every agent ``1 / agents``.

    Examples:
        >>> import torch
        >>> counterfactual_shares(torch.tensor([0.0, 1.0986]), 1.0)
        tensor([0.2500, 0.7500])
        >>> counterfactual_shares(torch.tensor([0.0, 1.0986]), 0.0)
        tensor([0.5000, 0.5000])
    """
    return (inverse_temperature * divergence.detach()).softmax(-1)
