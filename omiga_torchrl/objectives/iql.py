"""IQL for teams: implicit Q-learning, values by expectiles of the data's actions."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.view import TeamView


class IQLLoss(TeamLoss):
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
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamLoss`.

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

    terms = ("value", "qvalue", "actor")
    metrics = WEIGHT_METRICS
    _schedulable_buffers = frozenset({"temperature"})

    temperature: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        expectile: float = 0.7,
        temperature: float = 1 / 3,
        max_weight: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("IQLLoss", "in (0, 1)", expectile=expectile)
        require_number("IQLLoss", "> 0", max_weight=max_weight)
        self.expectile, self.max_weight = expectile, max_weight
        self.add_coefficient("temperature", temperature, "> 0")
        self.add_network("qvalue_network", qvalue_network, target=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network)
        self.add_network("value_network", value_network, at_next=True)

    def value_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``|expectile - 1(u_i < 0)| u_i^2``; trains the value network."""
        batch = self.view(data)
        return batch.expectile_loss(batch.target.q_min, batch.v, self.expectile)

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) V_tot(s'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        target = batch.td_target(batch.next.target.mix(batch.next.v))
        return batch.td_loss(batch.q_tot, target)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- min(exp(w_i u_i / temperature), max_weight) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        advantage = batch.weighted(batch.target.q_min - batch.v.detach())
        return batch.advantage_weighted_loss(advantage, self.temperature, self.max_weight)
