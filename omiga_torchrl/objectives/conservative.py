"""What CQL's, CFCQL's and OMAR's critics share: a penalty on the values of unseen actions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.proposals import Proposals
from omiga_torchrl.objectives.team_critic import TeamCriticLoss, Weights

Penalty = Literal["counterfactual", "joint", "summed"]


@dataclass
class CandidateValues:
    """Values of the C actions of every agent that a penalty runs over.

    Attributes:
        value: Q_i, ``[*B, N, E, C]``.
        log_mass: log volume that each action stands for, ``[*B, N, 1, C]``; None for 1 each.
        legal: actions that count, ``[*B, N, 1, C]``; None for all.
        action: sampled actions of a continuous team, ``[C, *B, N, A]``.
    """

    value: Tensor
    log_mass: Tensor | None = None
    legal: Tensor | None = None
    action: Tensor | None = None


class ConservativeCriticLoss(TeamCriticLoss):
    """Base of the losses with the term ``loss_cql``; see :class:`omiga_torchrl.objectives.cql.CQLLoss`.

    A subclass gives the sampled actions of continuous teams in ``_proposals`` and the values of the
    next step in ``_next_value``, and calls ``_critic_terms``.

    Args:
        qvalue_network: ensemble of local action values.
        mixer_network: the weights and bias of a linear mixer, or None.
        cql_alpha: weight of the penalty, >= 0.
        penalty: how the agents' penalties make the team's; one of :data:`Penalty`.
        samples: M of each kind of sampled actions.
        importance: whether samples are corrected by their densities.
        low: lower bound of actions.
        high: upper bound of actions.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.
    """

    _schedulable_buffers = frozenset({"gamma", "cql_alpha"})

    cql_alpha: Tensor

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None,
        *,
        cql_alpha: float,
        penalty: Penalty,
        samples: int,
        importance: bool,
        low: float,
        high: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        component = type(self).__name__
        if penalty not in get_args(Penalty):
            raise unknown_name(component, "penalty", penalty, get_args(Penalty))
        require_number(component, ">= 0", cql_alpha=cql_alpha)
        require_count(component, 1, samples=samples)
        self.penalty, self.samples, self.importance = penalty, samples, importance
        self.low, self.high = low, high
        self.register_coeff_buffer("cql_alpha", cql_alpha)

    # Given by subclasses --------------------------------------------------------------

    def _next_value(self, inputs: TensorDictBase) -> Tensor:
        """Local target values of the next step, ``[*B, N]``."""
        raise NotImplementedError

    def _proposals(self, inputs: TensorDictBase) -> Proposals:
        """Sampled actions of a continuous team."""
        raise NotImplementedError

    def _legal(self, inputs: TensorDictBase) -> Tensor | None:
        """Legal actions of a discrete team, ``[*B, N, K]``; None if all are."""
        return None

    # Candidates -----------------------------------------------------------------------

    def _uniform(self, inputs: TensorDictBase) -> Proposals:
        """Uniform actions of a continuous team."""
        action = inputs.get(self.tensor_keys.action)
        return Proposals.uniform(self.samples, action, low=self.low, high=self.high)

    def _sampled(self, inputs: TensorDictBase) -> CandidateValues:
        """Values of sampled actions of a continuous team."""
        with torch.no_grad():
            proposals = self._proposals(inputs)
        value = self._at_actions(inputs, proposals.action).squeeze(-2).movedim(0, -1)
        log_mass = -proposals.log_density.movedim(0, -1).unsqueeze(-2)
        return CandidateValues(value, log_mass, action=proposals.action)

    def _listed(self, inputs: TensorDictBase, every: Tensor) -> CandidateValues:
        """Values of a discrete team's actions from those of all, ``[*B, N, K, E]``."""
        legal = self._legal(inputs)
        if not (self.penalty == "joint" and self.mixed):
            return CandidateValues(
                every.transpose(-1, -2), legal=None if legal is None else legal.unsqueeze(-2)
            )
        scores = torch.rand((self.samples, *every.shape[:-1]), dtype=every.dtype, device=every.device)
        if legal is None:
            legal = torch.ones(every.shape[:-1], dtype=torch.bool, device=every.device)
        drawn = scores.masked_fill(~legal, -1.0).argmax(-1).movedim(0, -1)
        value = every.take_along_dim(drawn.unsqueeze(-1), -2).transpose(-1, -2)
        log_mass = legal.sum(-1).clamp(min=1).to(every.dtype).log()
        return CandidateValues(value, log_mass[..., None, None].expand(*drawn.shape[:-1], 1, self.samples))

    # Penalty --------------------------------------------------------------------------

    def _penalty_of(
        self, inputs: TensorDictBase, candidates: CandidateValues, local: Tensor, weights: Weights
    ) -> Tensor:
        """The penalty, summed over the ensemble, of the team ``[*B]`` or independent agents ``[*B, N]``."""
        log_mass = candidates.log_mass if self.importance else None
        value, legal = candidates.value, candidates.legal
        if weights is None:
            penalty = kernels.conservative_penalty(value, local, log_mass=log_mass, legal=legal)
            return penalty.sum(-1)
        weight, bias = weights
        value = weight[..., None, None] * value
        present = self._present(inputs, weight)
        if self.penalty == "joint":
            if log_mass is not None:  # of the agents that choose
                log_mass = torch.where(present[..., None, None], log_mass, 0.0).sum(-3)
            total = value.sum(-3) + bias[..., None, None]
            joint = kernels.conservative_penalty(total, self._mix(local, weights), log_mass=log_mass)
            return torch.where(present.any(-1), joint.sum(-1), 0.0)
        # The other agents' values and the bias cancel.
        each = kernels.conservative_penalty(
            value, weight.unsqueeze(-1) * local, log_mass=log_mass, legal=legal
        )
        if self.penalty == "counterfactual":
            return (self._shares(inputs, candidates, weight).unsqueeze(-1) * each).sum((-1, -2))
        # Every agent's log-sum has a bias, the data's value one: n - 1 are left over.
        left = (present.sum(-1) - 1).clamp(min=0)
        each = torch.where(present.unsqueeze(-1), each, 0.0)
        return each.sum((-1, -2)) + left * each.shape[-1] * bias

    def _shares(self, inputs: TensorDictBase, candidates: CandidateValues, weight: Tensor) -> Tensor:
        """The share of each agent in the counterfactual penalty, ``[*B, N]``, 0 for absent ones."""
        present = self._present(inputs, weight).to(weight.dtype)
        return present / present.sum(-1, keepdim=True).clamp(min=1)

    def _present(self, inputs: TensorDictBase, like: Tensor) -> Tensor:
        """Which agents take part, ``[*B, N]``."""
        present = inputs.get(self.tensor_keys.agent_mask, None)
        return torch.ones_like(like, dtype=torch.bool) if present is None else present

    # Terms ----------------------------------------------------------------------------

    def cql_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_cql``, whose gradient reaches the Q network and the mixer only."""
        return self._term(tensordict, "loss_cql")

    def _critic_terms(
        self, inputs: TensorDictBase, mask: Tensor | None, terms: Collection[str]
    ) -> dict[str, Tensor]:
        """``loss_qvalue`` and ``loss_cql``, and what they tell about themselves."""
        action = inputs.get(self.tensor_keys.action)
        continuous = action.dtype.is_floating_point
        every = self._every(inputs)
        local, weights = self._chosen(every, action), self._weights(inputs)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms:
            with torch.no_grad():
                target = self._target(inputs, self._next_value(inputs), mask)
            out |= self._qvalue_term(inputs, local, weights, target, mask)
        if "loss_cql" in terms:
            candidates = self._sampled(inputs) if continuous else self._listed(inputs, every)
            penalty = self._penalty_of(inputs, candidates, local, weights)
            valid = self._team_entries(inputs, penalty, mask)
            out["loss_cql"] = self.cql_alpha * self._reduce(penalty, valid)
            out["cql_penalty"] = masked_mean(penalty.detach(), valid)
        return out
