"""What losses share that clone the data's actions with weights of their advantages: IQL, AWAC, AWR."""

from __future__ import annotations

import math
from typing import Any

from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.team_critic import TeamCriticLoss

CLONING_DIAGNOSTICS = ("advantage", "effective_sample_size", "clipped_share")


class AdvantageWeightedLoss(TeamCriticLoss):
    """Base of the losses with ``loss_actor = - mean min(exp(A_i / temperature), max_weight) log pi_i``.

    log pi_i is that of the data's action, A_i its advantage, which subclasses give with the critic's terms.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: see :class:`TeamCriticLoss`.
        mixer_network: see :class:`TeamCriticLoss`.
        temperature: > 0, in the unit of the advantage.
        max_weight: the largest weight, > 0.
        **kwargs: of :class:`TeamCriticLoss`.
    """

    _schedulable_buffers = frozenset({"gamma", "temperature"})

    temperature: Tensor

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase | None,
        mixer_network: TensorDictModuleBase | None,
        *,
        temperature: float,
        max_weight: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        require_number(type(self).__name__, "> 0", temperature=temperature, max_weight=max_weight)
        self.max_weight = max_weight
        self.register_coeff_buffer("temperature", temperature)
        self.convert_to_functional(actor_network, "actor_network")

    def _cloning_term(self, log_prob: Tensor, advantage: Tensor, valid: Tensor | None) -> dict[str, Tensor]:
        """``loss_actor`` from log densities and advantages of the data's actions ``[*B, N]``."""
        advantage = advantage.detach()
        weight = kernels.clipped_exponential_weight(advantage, self.temperature, self.max_weight)
        clipped = (advantage > self.temperature * math.log(self.max_weight)).to(weight.dtype)
        return {
            "loss_actor": self._reduce(-weight * log_prob, valid),
            "advantage": masked_mean(advantage, valid),
            "effective_sample_size": kernels.effective_sample_size(weight, valid),
            "clipped_share": masked_mean(clipped, valid),
        }
