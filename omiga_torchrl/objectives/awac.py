"""AWAC for teams: an actor-critic whose policy clones actions by their advantage over itself."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_count, require_number
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import WEIGHT_METRICS
from omiga_torchrl.objectives.view import TeamView


class AWACLoss(TeamLoss):
    """Multi-agent AWAC (arXiv:2006.09359).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2, their
    smaller value ``Q_i = min_e Q_i^e`` of each agent, and a bar for target parameters::

        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) E Qbar_tot(s', a'))^2, a' ~ pi
        loss_actor  = - mean min(exp(A_i / temperature), max_weight) log pi_i(a_i | o_i)
        A_i = w_i (Q_i(o_i, a_i) - E_{a ~ pi_i} Q_i(o_i, a))

    Expectations over the policy are exact for discrete actions; for continuous ones the target's is
    one sample, as published, and the advantage's the mean of ``num_action_samples``. The target reads
    actions of the policy, which may leave the data while the policy is still far from them. Of a mixer
    that is not linear, w_i is the slope of Q_tot at the data's actions.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]`` of observation and action, or
            for discrete actions ``[*B, N, K, E]`` of the observation.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or local values
            and state to the team's value; None learns independent critics, or one agent's.

    Keyword Args:
        temperature: of the policy's weights (published: lambda), > 0, in units of return: small is
            greedy on few samples, large is behavior cloning. Default 1.
        max_weight: the largest weight, > 0. Default 100.
        num_action_samples: of the policy for the advantage, continuous actions, >= 1. Published 1
            (default): its noise is the weights', too.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of range, or an entry's shape is not the expected one, e.g. a
            reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("awac", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("qvalue", "actor")
    metrics = WEIGHT_METRICS
    _schedulable_buffers = frozenset({"temperature"})

    temperature: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        temperature: float = 1.0,
        max_weight: float = 100.0,
        num_action_samples: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("AWACLoss", "> 0", max_weight=max_weight)
        require_count("AWACLoss", 1, num_action_samples=num_action_samples)
        self.max_weight, self.num_action_samples = max_weight, num_action_samples
        self.add_coefficient("temperature", temperature, "> 0")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, at_next=True)

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) E Qbar_tot(s', a' ~ pi))^2``; trains Q network and mixer."""
        batch = self.view(data)
        next_q = batch.next.gather(lambda step: policy_value(step, step.target))
        return batch.td_loss(batch.q_tot, batch.td_target(batch.next.target.mix(next_q)))

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- min(exp(A_i / temperature), max_weight) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        samples = (self.num_action_samples,)
        value = batch.gather(lambda part: policy_value(part, part, samples))
        advantage = batch.q_min - value
        return batch.advantage_weighted_loss(batch.weighted(advantage), self.temperature, self.max_weight)


def policy_value(actor: TeamView, critic: TeamView, sample_shape: tuple[int, ...] = ()) -> Tensor:
    """``E_{a ~ pi_i} min_e Q_i^e(o_i, a)`` ``[*B, N]``, detached: exact for discrete actions, else sampled.

    Args:
        actor: the batch whose policy acts, of agents of one kind.
        critic: the same step, perhaps of the target networks.
        sample_shape: of every agent's continuous actions: ``()``, one, or ``(M,)``, of which it is the mean.
    """
    if actor.is_discrete:
        probs, q_values = actor.policy_log_probs.exp(), critic.q_values_min
        return F.expected_value(q_values, probs, actor.action_mask).detach()
    action = actor.policy.sample(torch.Size(sample_shape))
    with torch.no_grad():  # nothing here is kept for other terms
        value = F.ensemble_minimum(critic.q_at(action))
    return value.reshape(-1, *actor.agents).mean(0)
