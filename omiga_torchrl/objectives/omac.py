"""OMAC: coupled factorisations of the team's V and Q, and an implicit maximum at every agent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase, TensorDictParams
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.inputs import action_index
from omiga_torchrl.objectives.team_critic import TeamCriticLoss


class OMACLoss(TeamCriticLoss):
    """Offline multi-agent RL with coupled value factorisation, after OMAC (AAMAS 2023).

    .. warning:: A reconstruction. OMAC has no public code, and only its abstract could be read: V and Q
        of the team are factorised into local parts and a shared one, their credit to agents is kept
        consistent, and the maximum is learned implicitly, in sample, by *local* values. Everything
        below that goes beyond this is this library's choice. Do not call results OMAC's.

    With w_i(s) > 0 and a bar for target parameters::

        V_tot = V_s(s) + sum_i w_i(s) V_i(o_i)
        Q_tot = Q_s(s, a) + sum_i w^q_i(s, a) Q_i(o_i, a_i)
        w^q_i = w_i rho_i(s, a),  1/ratio <= rho_i <= ratio;   Q_s = V_s + A_s(s, a)

        loss_value        = mean L(Qbar_i - V_i),  L(u) = |expectile - 1(u < 0)| u^2
        loss_shared_value = mean L(Rbar - V_s),    Rbar = Qbar_tot - sum_i wbar_i Qbar_i
        loss_qvalue       = sum_e mean (Q_tot^e - r - gamma (1 - terminated) Vbar_tot(s'))^2
        loss_actor        = - mean min(exp(beta (Qbar_i - V_i)), max_weight) log pi_i(a_i | o_i)

    The smaller of an ensemble's Q_i counts in Qbar. R is what Q_tot has besides the agents' values at
    V_tot's weights; so every part of V_tot is the same expectile of its part of Q_tot, whatever rho.
    V_s and the V_i in ``loss_qvalue`` carry no gradient; w_i learns there, through w^q_i.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
        value_network: observation to ``local_value [*B, N, 1]``.
        shared_value_network: ``state`` to V_s, written as ``mixer_bias [*B, 1]``.
        mixer_network: ``state`` to w_i, written as ``mixer_weight [*B, N, 1]``, e.g.
            :class:`omiga_torchrl.modules.coupled_mixer.CreditWeights`.
        coupled_network: state, action, ``mixer_weight`` and ``mixer_bias`` to two more entries, w^q_i
            ``[*B, N, 1]`` and Q_s ``[*B, 1]``, e.g.
            :class:`omiga_torchrl.modules.coupled_mixer.CoupledCredit`.

    Keyword Args:
        expectile: in (0, 1): 0.5 evaluates the behaviour policy, towards 1 the maximum in the data.
            Default 0.7.
        beta: inverse temperature of the policy's weights >= 0, in 1 / units of return. Default 3.
        max_weight: largest weight > 0. Default 100.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of its range, or an entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("omac", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue', 'loss_shared_value', 'loss_value']
    """

    terms = ("loss_value", "loss_shared_value", "loss_qvalue", "loss_actor")

    shared_value_network: TensorDictModuleBase
    shared_value_network_params: TensorDictParams
    target_shared_value_network_params: TensorDictParams
    coupled_network: TensorDictModuleBase
    coupled_network_params: TensorDictParams
    target_coupled_network_params: TensorDictParams
    beta: Tensor

    _schedulable_buffers = frozenset({"beta", "gamma"})

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        shared_value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        coupled_network: TensorDictModuleBase,
        *,
        expectile: float = 0.7,
        beta: float = 3.0,
        max_weight: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        require_number("OMACLoss", "in (0, 1)", expectile=expectile)
        require_number("OMACLoss", ">= 0", beta=beta)
        require_number("OMACLoss", "> 0", max_weight=max_weight)
        self.expectile, self.max_weight = expectile, max_weight
        self.register_coeff_buffer("beta", float(beta))
        self.convert_to_functional(actor_network, "actor_network")
        delayed = {
            "value_network": value_network,
            "shared_value_network": shared_value_network,
            "coupled_network": coupled_network,
        }
        for name, network in delayed.items():
            self.convert_to_functional(network, name, create_target_params=True)

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.actor_network, self.value_network, self.shared_value_network]

    def _data_keys(self) -> Iterable[NestedKey]:
        made = (self.tensor_keys.mixer_weight, self.tensor_keys.mixer_bias)
        yield from (key for key in self.coupled_network.in_keys if key not in made)
        yield from super()._data_keys()

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_qvalue, "shared_value", "effective_sample_size"]

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches the local values only."""
        return self._term(tensordict, "loss_value")

    def shared_value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_shared_value``, whose gradient reaches V_s only."""
        return self._term(tensordict, "loss_shared_value")

    def qvalue_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_qvalue``, whose gradient reaches the Q network and all weights only."""
        return self._term(tensordict, "loss_qvalue")

    # Mixing ---------------------------------------------------------------------------

    def _mixing(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor]:
        """w_i ``[*B, N]`` and V_s ``[*B]``, which is V_tot's bias."""
        self._run("shared_value_network", inputs, target=target)
        return super()._mixing(inputs, target=target)

    def _next_mixing(self, inputs: TensorDictBase, *, target: bool = False) -> tuple[Tensor, Tensor]:
        self._run_next("shared_value_network", inputs, target=target)
        return super()._next_mixing(inputs, target=target)

    def _coupled(
        self, inputs: TensorDictBase, weight: Tensor, shared: Tensor, *, target: bool = False
    ) -> tuple[Tensor, Tensor]:
        """w^q_i ``[*B, N]``, 0 for agents that take no part, and Q_s ``[*B]``."""
        names = self.tensor_keys
        inputs.set(names.mixer_weight, weight.unsqueeze(-1)).set(names.mixer_bias, shared.unsqueeze(-1))
        written = self._run("coupled_network", inputs, target=target)
        key, shared_key = self.coupled_network.out_keys
        team = self._team_entry(written, shared_key, shared.shape)
        return self._agent_entry(written, key, "coupled"), team

    # Evaluation -----------------------------------------------------------------------

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        action = inputs.get(self.tensor_keys.action)
        if not action.dtype.is_floating_point:
            agents = inputs.get(self.tensor_keys.observation).shape[:-1]
            inputs.set(self.tensor_keys.action, action_index(action, agents))
        out: dict[str, Tensor] = {}
        with torch.no_grad():
            local = kernels.ensemble_minimum(self._local(inputs, target=True))
        if "loss_value" in terms or "loss_actor" in terms:
            out |= self._local_terms(inputs, local, mask, terms)
        if "loss_shared_value" in terms:
            out |= self._shared_term(inputs, local, mask)
        if "loss_qvalue" in terms:
            with torch.no_grad():
                target = self._target(inputs, self._next_local_value(inputs, target=True), mask)
            weight, shared = self._mixing(inputs)
            weights = self._coupled(inputs, weight, shared.detach())
            out |= self._qvalue_term(inputs, self._local(inputs), weights, target, mask)
        return out

    def _local_terms(
        self, inputs: TensorDictBase, local: Tensor, mask: Tensor | None, terms: Collection[str]
    ) -> dict[str, Tensor]:
        value = self._local_value(inputs)
        valid = self._entries(inputs, mask, value.shape)
        out: dict[str, Tensor] = {}
        if "loss_value" in terms:
            out["loss_value"] = self._reduce(kernels.expectile_loss(local - value, self.expectile), valid)
        advantage = self.beta * (local - value)
        weight = kernels.clipped_exponential_weight(advantage, 1.0, self.max_weight)
        if "loss_actor" in terms:
            out["loss_actor"] = self._reduce(-weight * self._log_prob(inputs), valid)
        return out | {"effective_sample_size": kernels.effective_sample_size(weight, valid)}

    def _shared_term(self, inputs: TensorDictBase, local: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        with torch.no_grad():
            weight, shared = self._mixing(inputs, target=True)
            coupled, shared_qvalue = self._coupled(inputs, weight, shared, target=True)
            rest = kernels.mix_linearly(local, coupled - weight, shared_qvalue)
        written = self._run("shared_value_network", inputs)
        value = self._team_entry(written, self.tensor_keys.mixer_bias, rest.shape)
        return {
            "loss_shared_value": self._reduce(kernels.expectile_loss(rest - value, self.expectile), mask),
            "shared_value": masked_mean(value.detach(), mask),
        }
