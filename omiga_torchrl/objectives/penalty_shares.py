"""CFCQL's shares: how much of the team's penalty each agent's has."""

from __future__ import annotations

import math
from typing import Any

import torch
from tensordict import TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.common import log_probabilities
from omiga_torchrl.objectives.conservative import CandidateValues, ConservativeCriticLoss


class SharedPenaltyLoss(ConservativeCriticLoss):
    """Base of the losses whose shares follow a model of the behaviour policy, CFCQL's (arXiv:2309.12696).

    Args:
        qvalue_network: ensemble of local action values.
        mixer_network: the weights and bias of a linear mixer, or None.
        behaviour_network: the model, if and only if ``share_sharpness`` is not 0.
        share_sharpness: c in ``softmax_i(c KL(softmax(w_i Q_i) || mu_i))``.
        **kwargs: of :class:`ConservativeCriticLoss`.
    """

    behaviour_network: TensorDictModuleBase
    behaviour_network_params: TensorDictParams
    target_behaviour_network_params: TensorDictParams

    def __init__(
        self,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None,
        behaviour_network: TensorDictModuleBase | None,
        *,
        share_sharpness: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        self.share_sharpness, self.modelled = share_sharpness, behaviour_network is not None
        self._check_shares()
        if behaviour_network is not None:
            self.convert_to_functional(behaviour_network, "behaviour_network")

    def _check_shares(self) -> None:
        component = type(self).__name__
        require_number(component, "that is finite", share_sharpness=self.share_sharpness)
        if self.modelled != (self.share_sharpness != 0):
            raise ValueError(
                f"{component}: share_sharpness={self.share_sharpness} with "
                f"{'a' if self.modelled else 'no'} behaviour_network; expected one if and only if it is not "
                "0. Make one with omiga_torchrl.modules.behaviour_model(spec)."
            )
        if self.modelled and not (self.mixed and self.penalty == "counterfactual"):
            raise ValueError(
                f"{component}: share_sharpness={self.share_sharpness} with penalty={self.penalty!r} and "
                f"{'a' if self.mixed else 'no'} mixer; expected penalty='counterfactual' and a mixer: "
                "nothing else is shared between agents."
            )

    def behaviour_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_behaviour``, whose gradient reaches the behaviour model only."""
        return self._term(tensordict, "loss_behaviour")

    def _shares(self, inputs: TensorDictBase, candidates: CandidateValues, weight: Tensor) -> Tensor:
        """The share of each agent in the counterfactual penalty, ``[*B, N]``, 0 for absent ones."""
        share = super()._shares(inputs, candidates, weight)
        if not self.modelled:
            return share
        with torch.no_grad():
            divergence = self._divergence(inputs, candidates, weight)
        # Absent agents get their team's mean, so that they cannot dwarf the others before they are left out.
        mean = (share * divergence).sum(-1, keepdim=True)
        divergence = torch.where(share > 0, divergence, mean)
        share = kernels.counterfactual_shares(divergence, self.share_sharpness) * (share > 0)
        return share / share.sum(-1, keepdim=True).clamp(min=torch.finfo(share.dtype).tiny)

    def _divergence(self, inputs: TensorDictBase, candidates: CandidateValues, weight: Tensor) -> Tensor:
        """``KL(softmax(w_i Q_i) || mu_i)`` of the smallest critic, ``[*B, N]``."""
        value = kernels.ensemble_minimum((weight[..., None, None] * candidates.value).transpose(-1, -2))
        reading = inputs.select(*self.behaviour_network.in_keys)
        if candidates.action is None:
            log_mu = self._with_distribution("behaviour_network", reading, log_probabilities)
            legal = None if candidates.legal is None else candidates.legal.squeeze(-2)
            masked = value if legal is None else value.masked_fill(~legal, torch.finfo(value.dtype).min)
            return kernels.categorical_kl(masked.log_softmax(-1), log_mu, legal)
        drawn = candidates.action
        log_mu = self._with_distribution("behaviour_network", reading, lambda found: found.log_prob(drawn))
        assert candidates.log_mass is not None
        score = value + candidates.log_mass.squeeze(-2)
        # Each kind of candidates estimates the integral of exp(w_i Q_i), so their mean does.
        log_density = value - score.logsumexp(-1, keepdim=True) + math.log(len(drawn))
        return (score.softmax(-1) * (log_density - log_mu.movedim(0, -1))).sum(-1)
