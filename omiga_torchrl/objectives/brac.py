"""BRAC for teams: an actor-critic whose policy pays for leaving a model of the behavior policy."""

from __future__ import annotations

import math
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_count, require_number
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.brac_policy import policy_evaluation, policy_value, require_known_divergence
from omiga_torchrl.objectives.view import TeamView


class BRACLoss(TeamLoss):
    """Multi-agent BRAC with a policy penalty, "BRAC-p" (BRAC: arXiv:1911.11361).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2, a bar for
    target parameters, a behavior model b_i and ``H_i = - E log pi_i``::

        loss_qvalue   = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) V(s'))^2
        V(s')         = Qbar_tot(s', a' ~ pi) + entropy_coeff sum_i H_i
        loss_actor    = mean alpha KL(pi_i | b_i) - w_i Q_i(o_i, a ~ pi_i) - entropy_coeff H_i
        loss_behavior = - mean log b_i(a_i | o_i)
        loss_alpha    = - mean alpha (KL(pi_i | b_i) - target_divergence), if there is a target

    The smaller twin of each agent counts. Discrete: all expectations are exact sums over the legal
    actions. Continuous: one a' and one action for Q; KL is exact between tanh-Gaussians, and between
    censored ones, and else the mean of ``log pi - log b`` over samples of the policy, as published. The
    behavior model learns at the same time; the released code trains it beforehand. Of a mixer that is not
    linear, w_i is the slope of Q_tot at the data's actions.

    Args:
        actor_network: policy with a distribution, e.g. :func:`omiga_torchrl.modules.make_actor`.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
        behavior_network: a second such policy, whose density is exact, or
            :class:`omiga_torchrl.modules.ConditionalVAE`.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or local values
            and state to the team's value; None learns independent critics, or one agent's.

    Keyword Args:
        alpha: multiplies the divergence, >= 0, in units of return; 0 is an actor-critic, and the policy of
            a large one is the behavior model. Published default 1.
        target_divergence: KL of each agent > 0, in nats, that alpha is moved to keep; it then starts at
            ``alpha``, and the output has ``alpha``. None (default) keeps alpha.
        max_alpha: largest alpha with a target, > 0. Published 500. Beyond it ``log_alpha`` counts as the
            bound, and has a gradient only where that leads back.
        entropy_coeff: price of certainty >= 0, in units of return. Default 0, as published.
        num_action_samples: number of samples of the policy for KL (continuous only), >= 1. Published 4. None
            (default) takes 4 where no closed form is known; samples that tanh rounds to a bound distort KL,
            and with censored Gaussians its gradient, so that it must be None there.
        warmup_steps: first updates in which the policy only clones the data, >= 0. Published 20,000. The
            output has ``next_updates``, which :meth:`TeamLoss.advance` stores; the count is kept in the
            state_dict. Default 0.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, an entry's shape is not the expected one, or only one of
            policy and behavior model is a censored Gaussian: where one has atoms, both must have.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("brac_p", spec, target_divergence=0.5).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_alpha', 'loss_behavior', 'loss_qvalue']
    """

    _schedulable_buffers = frozenset({"alpha", "entropy_coeff"})

    alpha: Tensor
    entropy_coeff: Tensor
    updates: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        behavior_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 1.0,
        target_divergence: float | None = None,
        max_alpha: float = 500.0,
        entropy_coeff: float = 0.0,
        num_action_samples: int | None = None,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("BRACLoss", ">= 0", alpha=alpha)
        require_number("BRACLoss", "> 0", max_alpha=max_alpha)
        require_count("BRACLoss", 0, warmup_steps=warmup_steps)
        if num_action_samples is not None:
            require_count("BRACLoss", 1, num_action_samples=num_action_samples)
        require_known_divergence(actor_network, behavior_network, num_action_samples)
        self.target_divergence, self.max_alpha = target_divergence, max_alpha
        self.num_action_samples, self.warmup_steps = num_action_samples, warmup_steps
        self.terms: tuple[str, ...] = ("qvalue", "actor", "behavior")
        self.metrics: tuple[str, ...] = ("divergence",)
        self.add_coefficient("entropy_coeff", entropy_coeff, ">= 0")
        if target_divergence is None:
            self.add_coefficient("alpha", alpha, ">= 0")
        else:
            require_number("BRACLoss", "> 0", target_divergence=target_divergence)
            if not 0 < alpha <= max_alpha:
                raise ValueError(
                    f"BRACLoss: alpha must be in (0, max_alpha={max_alpha}] with a target, got {alpha}. "
                    "Give alpha a value to start from."
                )
            self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))
            self.terms, self.metrics = (*self.terms, "alpha"), (*self.metrics, "alpha")
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        if warmup_steps:
            self.metrics = (*self.metrics, "next_updates")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, at_next=True)
        self.add_network("behavior_network", behavior_network)

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) V(s'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        next_q, next_entropy = batch.next.gather_all(policy_value)
        target = batch.td_target(batch.next.target.mix(next_q), self.entropy_coeff * next_entropy)
        return batch.td_loss(batch.q_tot, target)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``alpha KL(pi_i | b_i) - w_i Q_i(o_i, a ~ pi_i) - entropy_coeff H_i``; trains the policy."""
        batch = self.view(data)
        policy = policy_evaluation(batch, self.num_action_samples)
        batch.record("divergence", policy.divergence)
        loss = F.brac_actor_loss(
            batch.weighted(policy.q), policy.divergence, policy.entropy, self._alpha(), self.entropy_coeff
        )
        if self.warmup_steps:
            batch.record("next_updates", self.updates + 1)
            loss = torch.where(self.updates < self.warmup_steps, -batch.log_prob, loss)
        return batch.reduce(loss)

    def behavior_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- log b_i(a_i | o_i)``; trains the behavior model."""
        batch = self.view(data)
        return batch.reduce(-batch.behavior_log_prob)

    def alpha_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- alpha (KL(pi_i | b_i) - target_divergence)``; trains ``log_alpha``.

        Raises:
            ValueError: the loss has no target divergence.
        """
        if self.target_divergence is None:
            raise ValueError(
                "BRACLoss: target_divergence must be a number > 0 to learn alpha, got None. Set it."
            )
        batch = self.view(data)
        divergence = policy_evaluation(batch, self.num_action_samples).divergence.detach()
        violation = batch.reduce(divergence - self.target_divergence).sum()
        log_alpha = F.projected_log_alpha(self.log_alpha, violation, self.max_alpha)
        batch.record("alpha", log_alpha.exp())
        return batch.reduce(F.dual_loss(log_alpha, divergence, self.target_divergence))

    def _alpha(self) -> Tensor:
        """Price of divergence, detached."""
        if self.target_divergence is None:
            return self.alpha
        return self.log_alpha.detach().clamp(max=math.log(self.max_alpha)).exp()
