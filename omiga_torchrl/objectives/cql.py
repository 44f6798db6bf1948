"""CQL for teams: MA-CQL and CFCQL, for continuous and for discrete actions."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.modules.bounds import register_bounds
from omiga_torchrl.objectives import conservative
from omiga_torchrl.objectives.action_values import (
    ActionValues,
    all_action_values,
    gather_values,
    joint_action_values,
    sampled_action_values,
)
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.conservative import Penalty
from omiga_torchrl.objectives.cql_arguments import ActorObjective, check_arguments
from omiga_torchrl.objectives.networks import require_actor_for_continuous, required_bounds
from omiga_torchrl.objectives.sampled_actions import SampledActions
from omiga_torchrl.objectives.view import TeamView

Variant = Literal["paper", "official"]


class CQLLoss(TeamLoss):
    """Conservative Q-learning (CQL: arXiv:2006.04779) of a team, with CFCQL's penalty (arXiv:2309.12696).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), critics Q^e and a bar for
    target parameters::

        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2
        loss_cql    = cql_alpha sum_e mean sum_i lambda_i (log sum_c m_c exp(w_i Q_i^e(o_i, c))
                                                           - w_i Q_i^e(o_i, a_i))
        loss_actor  = mean - w_i Q_i(o_i, pi_i) + entropy_coeff log pi_i      (continuous)

    Qbar_tot mixes, and Q_i in the policy's loss is, each agent's smallest of the critics. With a monotonic
    mixer the penalty is that of ``Q_tot^e(s, a_-i, c)`` against ``Q_tot^e(s, a)``, which under a linear one
    is the line above, and ``w_i`` elsewhere is dQ_tot / dQ_i at the data's actions.

    Continuous: a' ~ pi(o'). The candidates c of every agent are ``num_action_samples`` uniform actions, as
    many of pi(o), and as many of pi(o'), all valued at o. With ``m_c = 1 / density`` each kind estimates
    the integral of exp over actions.

    Of a team with both, each agent has what its kind of actions has; loss_actor is the mean over those with
    continuous ones.

    Discrete: there is no actor. The candidates are all legal actions, ``m_c = 1``, and a' is the best
    legal action of the online critics (double Q-learning). The policy that acts is
    :func:`omiga_torchrl.modules.greedy.greedy_policy` of the Q network.

    Penalties
        ``"counterfactual"`` (default): CFCQL's. For each agent by itself, the others keep the data's
        actions. The weights lambda_i sum to 1: 1 / n, or
        ``softmax_i(penalty_inverse_temperature KL(p_i || mu_i))`` with ``p_i = softmax(w_i Q_i)`` over the
        candidates and mu_i the behavior network, which is trained as ``loss_behavior``.

        ``"joint"``: MA-CQL's, over sampled joint actions (discrete: uniform among legal ones):
        ``log sum_c m_c exp Q_tot(s, c) - Q_tot(s, a)``. Over all joint actions it would be, under a linear
        mixer, n times the counterfactual one with equal weights.

        ``"summed"``: ComaDICE's, for linear mixers: the sum over agents of counterfactual log-sums of
        ``w_i Q_i + b``, minus Q_tot(s, a). Compared with equal weights it is n times as large, and b, which
        cancels in the others, is left n - 1 times: the penalty pushes the mixer's bias down without bound.

        Without a mixer every agent has the penalty of its own Q_i, whichever is chosen.

    Variants
        ``"official"`` (continuous): what ComaDICE ran as CQL on OMIGA's data: ``penalty="summed"``,
        ``importance_sampling=False``, ``actor_objective="weighted_bc"``, and loss_actor is the sum over the
        n agents that take part, where all others are means; to be complete, one critic and cql_alpha = 1.

    Args:
        actor_network: policy with a distribution that can be reparametrised and tells its bounds ``low`` and
            ``high``; None for discrete actions.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``, or discrete ``[*B, N, K, E]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or a monotonic
            mixer of local values and ``state``; None learns independent critics, or one agent's.

    Keyword Args:
        behavior_network: mu_i, where ``penalty_inverse_temperature`` is not 0.
        cql_alpha: weight of the penalty, >= 0, in units of return. Released, on raw rewards: CQL 5 or
            10; CFCQL on SMAC 0.1 to 50; MA-CQL there 5; ComaDICE 1. Default 1.
        num_action_samples: of each kind of sampled actions. Released: 10 (default); joint ones of discrete
            teams 100 or 20.
        penalty_inverse_temperature: without unit. > 0: the agent furthest from the data is penalised most
            (CFCQL's released discrete code: 0 to 1 by map). < 0: the nearest (its continuous code, which
            estimates the divergence by one density). Default 0: equal weights.
        entropy_coeff: weight of the entropy in the policy's loss, >= 0, in units of return. Default 0.1.
        variant: names the defaults of the next three. Default ``"paper"``.
        penalty: see above; None is the variant's.
        importance_sampling: divide (discrete: joint) candidates by their densities; None is the variant's.
        actor_objective: ``"max_q"``: loss_actor above. ``"weighted_bc"``: ``- mean Q_i(o_i, a_i) log pi_i(a_i
            | o_i)`` of the data's actions, unweighted by w_i and without a baseline (ComaDICE); values below
            0 push the data's actions away. None is the variant's.
        has_action_mask: discrete: the data must have action masks, not only may.
        **kwargs: of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: arguments or networks do not fit together, or an entry is not as expected.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("cql", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_cql', 'loss_qvalue']
    """

    _schedulable_buffers = frozenset({"cql_alpha", "entropy_coeff"})

    cql_alpha: Tensor
    entropy_coeff: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential | None,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behavior_network: TensorDictModuleBase | None = None,
        cql_alpha: float = 1.0,
        num_action_samples: int = 10,
        penalty_inverse_temperature: float = 0.0,
        entropy_coeff: float = 0.1,
        variant: Variant = "paper",
        penalty: Penalty | None = None,
        importance_sampling: bool | None = None,
        actor_objective: ActorObjective | None = None,
        has_action_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reads += ("action_mask",) * has_action_mask
        require_count("CQLLoss", 1, num_action_samples=num_action_samples)
        require_number("CQLLoss", "that is finite", penalty_inverse_temperature=penalty_inverse_temperature)
        if variant not in get_args(Variant):
            raise unknown_name("CQLLoss", "variant", variant, get_args(Variant))
        self.is_official = variant == "official"
        self.penalty: Penalty = penalty or ("summed" if self.is_official else "counterfactual")
        chosen = not self.is_official if importance_sampling is None else importance_sampling
        self.importance_sampling: bool = chosen
        self.actor_objective = actor_objective or ("weighted_bc" if self.is_official else "max_q")
        self.num_action_samples = num_action_samples
        self.penalty_inverse_temperature = penalty_inverse_temperature
        self.add_coefficient("cql_alpha", cql_alpha, ">= 0")
        self.add_coefficient("entropy_coeff", entropy_coeff, ">= 0")
        require_actor_for_continuous("CQLLoss", actor_network, qvalue_network)
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, at_next=True)
        self.add_network("behavior_network", behavior_network)
        check_arguments(self)
        self.terms = ("qvalue", "cql", *["actor"] * (actor_network is not None))
        self.terms += ("behavior",) * (behavior_network is not None)
        follows_q = actor_network is not None and self.actor_objective == "max_q"
        self.metrics = ("cql_penalty", "policy_entropy") if follows_q else ("cql_penalty",)
        if actor_network is not None:
            register_bounds(self, *required_bounds(self))

    # Critic -----------------------------------------------------------------------------

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Qbar_tot(s', a'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        target = batch.td_target(batch.next.target.mix(batch.next.gather(_next_value)))
        return batch.td_loss(batch.q_tot, target)

    def cql_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``cql_alpha`` times the penalty of candidate actions; trains Q network and mixer."""
        batch = self.view(data)
        inverse_temperature = self.penalty_inverse_temperature
        values = gather_values(batch, self._candidates)
        penalty = conservative.team_penalty(batch, values, self.penalty, inverse_temperature)
        batch.record("cql_penalty", penalty)
        return batch.reduce(self.cql_alpha * penalty)

    def _candidates(self, batch: TeamView) -> ActionValues:
        """Q_i of the candidate actions."""
        if batch.is_discrete and not (self.has_mixer and self.penalty == "joint"):
            return all_action_values(batch)
        importance_sampling = self.importance_sampling
        if batch.is_discrete:
            samples = self.num_action_samples
            return joint_action_values(batch, samples, importance_sampling=importance_sampling)
        sampled = self._sample_actions(batch)
        return sampled_action_values(batch, sampled, importance_sampling=importance_sampling)

    def _sample_actions(self, batch: TeamView) -> SampledActions:
        samples, policies = self.num_action_samples, (batch.policy, batch.next.policy)
        with torch.no_grad():
            uniform = SampledActions.uniform(samples, batch.action, low=self.low, high=self.high)
            of_policies = [SampledActions.from_policy(policy, samples) for policy in policies]
        return SampledActions.concatenate([uniform, *of_policies])

    # Policy -----------------------------------------------------------------------------

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``entropy_coeff log pi_i - w_i Q_i(o_i, pi_i)``, or ``- Q_i log pi_i(a_i | o_i)``; trains pi_i."""
        batch = self.view(data).continuous
        follows_q = self.actor_objective == "max_q"
        loss = self._max_q(batch) if follows_q else -batch.q_min.detach() * batch.log_prob
        if not self.is_official:
            return batch.reduce(loss)
        return batch.reduce(torch.where(conservative.agents_that_take_part(batch), loss, 0.0).sum(-1))

    def _max_q(self, batch: TeamView) -> Tensor:
        sampled = SampledActions.from_policy(batch.policy, 1)
        action, log_prob = sampled.action[0], sampled.log_prob[0]
        batch.record("policy_entropy", -log_prob)
        q_pi = batch.weighted(F.ensemble_minimum(batch.q_at(action, detach_params=True)))
        return F.cql_actor_loss(q_pi, log_prob, self.entropy_coeff)

    def behavior_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- log mu_i(a_i | o_i)``; trains the behavior model."""
        batch = self.view(data)
        return batch.reduce(-batch.behavior_log_prob)


def _next_value(step: TeamView) -> Tensor:
    """Target ``min_e Qbar_i^e(o'_i, a')`` of the policy's, or discrete the online critics' best, action."""
    if not step.is_discrete:
        return F.ensemble_minimum(step.target.q_at(step.policy.sample()))
    mask, q_values = step.action_mask, step.q_values_min
    legal = torch.ones_like(q_values, dtype=torch.bool) if mask is None else mask
    return F.ensemble_minimum(step.target.q_at(F.best_value(q_values, legal).action))
