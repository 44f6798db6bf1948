"""IQL for teams: implicit Q-learning, values by expectiles of the data's actions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.advantage_weighted import CLONING_DIAGNOSTICS, AdvantageWeightedLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.team_critic import Weights


class IQLLoss(AdvantageWeightedLoss):
    """Multi-agent **implicit** Q-learning (IQL: ICLR 2022, arXiv:2110.06169).

    Not independent Q-learning, which OG-MARL and much of the multi-agent literature call IQL.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` and ``V_tot = sum_i w_i(s) V_i + b(s)`` (no mixer: every
    Q_i and V_i by itself), twins Q^1, Q^2, a bar for target parameters and ``u_i = min_e Qbar_i^e - V_i``::

        loss_value  = mean |expectile - 1(u_i < 0)| u_i^2
        loss_qvalue = sum_e mean (Q_tot^e - r - gamma (1 - terminated) V_tot(s'))^2
        loss_actor  = - mean min(exp(w_i u_i / temperature), max_weight) log pi_i(a_i | o_i)

    V_i is an expectile of Q_i over the data's actions: their mean at 0.5, and close to the best of
    them near 1. No action outside the data is ever read. V_tot(s') mixes online V_i with the target
    mixer; the shares ``w_i u_i`` of the team's advantage have the unit of the team's return.

    The published multi-agent code (of CFCQL's authors) has no mixer: ``mixer_network=None``. Not
    reproduced is the last layer that its second critic shares with the first by mistake.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]`` of observation and action, or
            for discrete actions ``[*B, N, K, E]`` of the observation.
        value_network: observation to ``local_value [*B, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        expectile: in (0, 1). Default 0.7.
        temperature: of the policy's weights, > 0, in units of return: small is greedy on few samples,
            large is behaviour cloning. The publication's beta is its inverse. Default 1/3.
        max_weight: the largest weight. Default 100.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of range, or an entry's shape is not the expected one, e.g. a
            reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("iql", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue', 'loss_value']
    """

    terms = ("loss_value", "loss_qvalue", "loss_actor")
    _with_parameters = ("qvalue_network_params", "value_network_params", "actor_network_params")

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        expectile: float = 0.7,
        temperature: float = 1 / 3,
        max_weight: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(actor_network, qvalue_network, mixer_network),
            temperature=temperature,
            max_weight=max_weight,
            **kwargs,
        )
        require_number("IQLLoss", "in (0, 1)", expectile=expectile)
        self.expectile = expectile
        self.convert_to_functional(value_network, "value_network")

    def _found_out_keys(self) -> list[NestedKey]:
        names = self.tensor_keys
        return [*self.terms, names.global_qvalue, names.global_value, *CLONING_DIAGNOSTICS]

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.actor_network, self.value_network]

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches the value network only."""
        return self._term(tensordict, "loss_value")

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        weights = self._weights(inputs)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms:
            with torch.no_grad():
                target = self._target(inputs, self._next_local_value(inputs), mask)
            out |= self._qvalue_term(inputs, self._local(inputs), weights, target, mask)
        if "loss_value" in terms or "loss_actor" in terms:
            out |= self._value_terms(inputs, weights, mask, terms)
        return out

    def _value_terms(
        self,
        inputs: TensorDictBase,
        weights: Weights,
        mask: Tensor | None,
        terms: Collection[str],
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            qvalue = kernels.ensemble_minimum(self._local(inputs, target=True))
        value = self._local_value(inputs)
        valid = self._entries(inputs, mask, value.shape)
        team = self._team(value.detach(), weights).detach()
        rows = self._team_entries(inputs, team, mask)
        out = {self.tensor_keys.global_value: masked_mean(team, rows)}
        if "loss_value" in terms:
            out["loss_value"] = self._reduce(kernels.expectile_loss(qvalue - value, self.expectile), valid)
        if "loss_actor" in terms:
            share = self._share((qvalue - value).detach(), weights)
            out |= self._cloning_term(self._log_prob(inputs), share, valid)
        return out
