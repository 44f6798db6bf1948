"""AWR for teams: cloning by how much better a return was than expected."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.advantage_weighted import CLONING_DIAGNOSTICS, AdvantageWeightedLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.sequences import require_sequences


class AWRLoss(AdvantageWeightedLoss):
    """Multi-agent advantage-weighted regression (arXiv:1910.00177) along sequences ``[*B, T]``.

    There is no action value. With ``V_tot = sum_i w_i(s) V_i + b(s)`` (no mixer: every V_i by itself)
    and a bar for target parameters::

        y_t = r_t + gamma (1 - terminated_t) (Vbar_{t+1} + lambda (y_{t+1} - Vbar_{t+1}))
        loss_value = mean (V_tot(s_t) - y_t)^2
        loss_actor = - mean min(exp(A / temperature), max_weight) log pi_i(a_i | o_i)
        A = y_t - V_tot(s_t), standardised over the batch

    The returns are those of the behaviour policy: AWR is one step of policy improvement on it. Where
    an episode, or its slice, ends without being terminated, the return goes on with Vbar. With a mixer
    the advantage is the team's and the same for all agents: returns do not say whose action it was.

    The publication takes the advantages as they are, its released code standardises them: set
    ``standardise=False`` for the former, and a temperature in units of return. The released code
    computes returns once for many updates; here the target parameters follow slowly. Its penalty on
    actions beyond their bounds has nothing to do for a policy that cannot leave them.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, T, N]``.
        value_network: observation to ``local_value [*B, T, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, T, N, 1]``, ``mixer_bias [*B, T, 1]``); None
            learns independent values, or one agent's.

    Keyword Args:
        temperature: of the policy's weights (published: beta), > 0; in standard deviations of the
            advantage, or with ``standardise=False`` in units of return (published: 0.05). Default 1.
        max_weight: the largest weight. Default 20.
        standardise: whether advantages are standardised. Default True.
        td_lambda: lambda of the returns, in [0, 1]. Default 0.95.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of range, the batch is no sequences, or an entry's shape is
            not the expected one, e.g. a reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("awr", spec).loss
        >>> out = loss(spec.fake_batch(8, 4))  # 8 sequences of 4 steps
        >>> sorted(key for key in out.keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_value']
    """

    terms = ("loss_value", "loss_actor")
    default_value_estimator = ValueEstimators.TDLambda
    _with_parameters = ("value_network_params", "actor_network_params")

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        temperature: float = 1.0,
        max_weight: float = 20.0,
        standardise: bool = True,
        td_lambda: float = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(actor_network, None, mixer_network),
            temperature=temperature,
            max_weight=max_weight,
            **kwargs,
        )
        require_number("AWRLoss", "in [0, 1]", td_lambda=td_lambda)
        self.lmbda.fill_(td_lambda)
        self.standardise = standardise
        self.convert_to_functional(value_network, "value_network", create_target_params=True)

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_value, *CLONING_DIAGNOSTICS]

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.value_network, self.actor_network]

    def value_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_value``, whose gradient reaches the value network and the mixer only."""
        return self._term(tensordict, "loss_value")

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        key = next_key(self.tensor_keys.reward)
        require_sequences(type(self).__name__, key, inputs.get(key), trailing=1)
        local = self._local_value(inputs)
        team = self._team(local, self._weights(inputs))
        with torch.no_grad():
            target = self._target(inputs, self._next_local_value(inputs, target=True), mask)
        rows = self._team_entries(inputs, target, mask)
        out = {self.tensor_keys.global_value: masked_mean(team.detach(), rows)}
        if "loss_value" in terms:
            out["loss_value"] = self._reduce((team - target).square(), rows)
        if "loss_actor" in terms:
            valid = self._entries(inputs, mask, local.shape)
            gain = (target - team).detach()
            advantage = gain.unsqueeze(-1).expand_as(local) if self.mixed else gain
            if self.standardise:
                advantage = kernels.standardise(advantage, valid)
            out |= self._cloning_term(self._log_prob(inputs), advantage, valid)
        return out
