"""OMAC: coupled factorizations of the team's V and Q, and an implicit maximum at every agent."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase, TensorDictParams
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number, require_shape
from omiga_torchrl.keys import key_path
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.evaluation import full_precision
from omiga_torchrl.objectives.mixing import MixerOutput
from omiga_torchrl.objectives.view import TeamView


class OMACLoss(TeamLoss):
    """Offline multi-agent RL with coupled value factorization, after OMAC (AAMAS 2023).

    .. warning:: A reconstruction. OMAC has no public code, and only its abstract could be read: V and Q
        of the team are factorized into local parts and a shared one, their credit to agents is kept
        consistent, and the maximum is learned implicitly, in sample, by *local* values. Everything
        below that goes beyond this is this library's choice. Do not call results OMAC's.

    With w_i(s) > 0 and a bar for target parameters::

        V_tot = V_s(s) + sum_i w_i(s) V_i(o_i)
        Q_tot = Q_s(s, a) + sum_i w^q_i(s, a) Q_i(o_i, a_i)
        w^q_i = w_i rho_i(s, a),  1/ratio <= rho_i <= ratio;   Q_s = V_s + A_s(s, a)

        loss_value       = mean L(Qbar_i - V_i),  L(u) = |expectile - 1(u < 0)| u^2
        loss_state_value = mean L(Rbar - V_s),    Rbar = Qbar_tot - sum_i wbar_i Qbar_i
        loss_qvalue      = sum_e mean (Q_tot^e - r - gamma (1 - terminated) Vbar_tot(s'))^2
        loss_actor       = - mean min(exp((Qbar_i - V_i) / temperature), max_weight) log pi_i(a_i | o_i)

    The smaller of an ensemble's Q_i counts in Qbar. R is what Q_tot has besides the agents' values at
    V_tot's weights; so every part of V_tot is the same expectile of its part of Q_tot, whatever rho.
    V_s and the V_i in ``loss_qvalue`` carry no gradient; w_i learns there, through w^q_i.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
        value_network: observation to ``local_value [*B, N, 1]``.
        state_value_network: ``state`` to V_s, written as ``mixer_bias [*B, 1]``.
        mixer_network: ``state`` to w_i, written as ``mixer_weight [*B, N, 1]``, e.g.
            :class:`omiga_torchrl.modules.coupled_mixer.CreditWeights`. Other mixers are refused: the
            coupling is one of these weights.
        coupled_network: state, action, ``mixer_weight`` and ``mixer_bias`` to two more entries, w^q_i
            ``[*B, N, 1]`` and Q_s ``[*B, 1]``, e.g.
            :class:`omiga_torchrl.modules.coupled_mixer.CoupledCredit`.

    Keyword Args:
        expectile: in (0, 1): 0.5 evaluates the behavior policy, towards 1 the maximum in the data.
            Default 0.7.
        temperature: of the policy's weights, > 0, in units of return: small is greedy on few samples, large
            is behavior cloning. Default 1/3.
        max_weight: largest weight > 0. Default 100.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, a network does not write what is said above, or an
            entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("omac", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue', 'loss_state_value', 'loss_value']
    """

    terms = ("value", "state_value", "qvalue", "actor")
    metrics = ("state_value", *WEIGHT_METRICS)
    _schedulable_buffers = frozenset({"temperature"})

    state_value_network: TensorDictModuleBase
    state_value_network_params: TensorDictParams
    target_state_value_network_params: TensorDictParams
    coupled_network: TensorDictModuleBase
    coupled_network_params: TensorDictParams
    target_coupled_network_params: TensorDictParams
    temperature: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        state_value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase,
        coupled_network: TensorDictModuleBase,
        *,
        expectile: float = 0.7,
        temperature: float = 1 / 3,
        max_weight: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("OMACLoss", "in (0, 1)", expectile=expectile)
        require_number("OMACLoss", "> 0", max_weight=max_weight)
        self.expectile, self.max_weight = expectile, max_weight
        self.add_coefficient("temperature", temperature, "> 0")
        names = self.tensor_keys
        for name, network, key in (
            ("mixer_network", mixer_network, names.mixer_weight),
            ("state_value_network", state_value_network, names.mixer_bias),
        ):
            out_keys = [] if network is None else list(network.out_keys)
            if [key_path(found)[-1] for found in out_keys] != [key_path(key)[-1]]:  # in a group of any name
                raise ValueError(
                    f"OMACLoss: {name} must write [{key!r}] only, got {out_keys}. OMAC couples "
                    "the weights of V_tot and Q_tot and learns the bias by itself: use no other mixer."
                )
        self.add_network("qvalue_network", qvalue_network, target=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network)
        self.add_network("value_network", value_network, target=True, at_next=True)
        self.add_network("state_value_network", state_value_network, target=True, at_next=True)
        computed = [*mixer_network.out_keys, *state_value_network.out_keys]
        self.add_network("coupled_network", coupled_network, target=True, computed=computed)

    def value_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``L(Qbar_i - V_i)``; trains the local values."""
        batch = self.view(data)
        return batch.expectile_loss(batch.target.q_min, batch.v, self.expectile)

    def state_value_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``L(Rbar - V_s)``; trains V_s."""
        batch = self.view(data)
        value, target = batch.mixer_output.bias, batch.target
        coupled = coupled_output(target)
        rest = F.mix_linearly(target.q_min, coupled.weight - target.mixer_output.weight, coupled.bias)
        batch.record("state_value", value)
        return batch.expectile_loss(rest, value, self.expectile)

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Vbar_tot(s'))^2``; trains Q network and all weights."""
        batch = self.view(data)
        weight, bias = coupled_output(batch)
        q_tot = (weight.unsqueeze(-1) * batch.q).sum(-2) + bias.unsqueeze(-1)
        batch.record(self.tensor_keys.global_qvalue, q_tot.mean(-1))
        return batch.td_loss(q_tot, batch.td_target(batch.next.target.v_tot))

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- min(exp((Qbar_i - V_i) / temperature), max_weight) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        advantage = batch.target.q_min - batch.v.detach()
        return batch.advantage_weighted_loss(advantage, self.temperature, self.max_weight)


def coupled_output(batch: TeamView) -> MixerOutput:
    """w^q_i ``[*B, N]``, 0 for agents that take no part, and Q_s ``[*B]``, with no gradient to V_s.

    Args:
        batch: the batch, or ``batch.target``.

    Raises:
        ValueError: the coupled network's outputs have other shapes.
    """
    loss, names, mixer = batch.loss, batch.loss.tensor_keys, batch.mixer_output

    def use(network: TensorDictModuleBase, inputs: TensorDictBase) -> TensorDictBase:
        inputs.set(names.mixer_weight, mixer.weight.unsqueeze(-1))
        return network(inputs.set(names.mixer_bias, mixer.bias.detach().unsqueeze(-1)))

    weight_key, bias_key = loss.coupled_network.out_keys
    out = batch.with_network("coupled_network", use)
    weight, bias = full_precision(out.get(weight_key)), full_precision(out.get(bias_key))
    component, hint = type(loss).__name__, "Check the coupled_network."
    require_shape(component, weight_key, weight, (*batch.agents, 1), "[*batch, agents, 1]", hint)
    require_shape(component, bias_key, bias, (*mixer.bias.shape, 1), "[*batch, 1]", hint)
    return MixerOutput(weight.squeeze(-1), bias.squeeze(-1))
