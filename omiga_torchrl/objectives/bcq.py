"""BCQ for teams: Q-learning over actions that a model of the behavior policy proposes."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Distribution

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.modules.bounds import register_bounds
from omiga_torchrl.modules.group_behavior import GroupLatentActions
from omiga_torchrl.modules.latent_actions import LatentActions
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.networks import require_actor_for_continuous, required_bounds
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.objectives.view import TeamView

VAELoss = Literal["likelihood", "squared_error"]


class BCQLoss(TeamLoss):
    """Multi-agent batch-constrained Q-learning (BCQ: ICML 2019, arXiv:1812.02900; discrete arXiv:1910.01708).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), a model mu of the behavior
    policy, a bar for target parameters, and ``soft_e x_e = lam min_e x_e + (1 - lam) max_e x_e``::

        loss_qvalue   = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qhat_tot(s'))^2
        loss_behavior = - mean log mu_i(a_i | o_i)

    and Qhat_tot mixes, with the target mixer, each agent's value of its best supported next action. Mixers
    are monotonic, so that the best action of every agent is the best of the team.

    Continuous actions: mu is a conditional VAE, xi a small perturbation that is learned::

        Qhat_i = max over samples m of soft_e Qbar_i^e(o'_i, xibar(a_m)),  a_m ~ mu(. | o'_i)
        loss_actor = - mean Q_i^1(o_i, xi(a)),  a ~ mu(. | o_i)

    The policy that acts is :class:`omiga_torchrl.modules.candidate_policy.CandidatePolicy`.

    Discrete actions: mu is a masked categorical, and there is no policy network::

        Qhat_i = soft_e Qbar_i^e(o'_i, a*),  a* = argmax of min_e Q_i^e(o'_i, a) over supported a
        a is supported if it is legal and mu(a | o'_i) >= support_threshold max_legal mu(. | o'_i)

    The policy that acts is :func:`omiga_torchrl.modules.candidate_policy.supported_action_policy`.

    The released continuous multi-agent code swaps latents and agent ids of the decoder between
    training and sampling; that is not reproduced. Neither are two parts of the released single-agent
    discrete code, the Huber loss and a penalty on logits.

    Args:
        actor_network: xi, observation and action to an action; None for discrete actions.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]`` of observation and action, or
            for discrete actions ``[*B, N, K, E]`` of the observation.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or a monotonic
            mixer of local values and ``state``; None learns independent critics, or one agent's.

    Keyword Args:
        behavior_network: mu, a :class:`omiga_torchrl.modules.ConditionalVAE` or a categorical policy.
        num_action_samples: of mu in the target, continuous actions. Default 10.
        lam: weight of the smaller critic, in [0, 1]. Default 0.75; with one critic it says nothing.
        support_threshold: of supported actions, in [0, 1]. Default 0.3 (published; OG-MARL's teams 0.4).
        vae_loss: ``"likelihood"`` (default): the VAE's own lower bound, with a standard deviation that
            is learned; ``"squared_error"``: as released, see
            :meth:`omiga_torchrl.modules.ConditionalVAE.squared_error_loss`.
        **kwargs: of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, networks do not fit together, or an entry's shape is
            not the expected one, e.g. a reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("bcq", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_behavior', 'loss_qvalue']
    """

    def __init__(
        self,
        actor_network: TensorDictModuleBase | None,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behavior_network: TensorDictModuleBase,
        num_action_samples: int = 10,
        lam: float = 0.75,
        support_threshold: float = 0.3,
        vae_loss: VAELoss = "likelihood",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("BCQLoss", "in [0, 1]", lam=lam, support_threshold=support_threshold)
        require_count("BCQLoss", 1, num_action_samples=num_action_samples)
        if vae_loss not in get_args(VAELoss):
            raise unknown_name("BCQLoss", "vae_loss", vae_loss, get_args(VAELoss))
        require_actor_for_continuous("BCQLoss", actor_network, qvalue_network)
        self.num_action_samples, self.lam = num_action_samples, lam
        self.support_threshold, self.vae_loss = support_threshold, vae_loss
        has_actor = actor_network is not None
        self.terms = ("qvalue", "actor", "behavior") if has_actor else ("qvalue", "behavior")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, target=True, at_next=True)
        self.add_network("behavior_network", behavior_network, at_next=True)
        has_discrete = not has_actor or (self.groups is not None and self.groups.is_mixed)
        self.metrics = ("perturbation",) * has_actor + ("supported_actions",) * has_discrete
        if has_actor:
            register_bounds(self, *required_bounds(self))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Qhat_tot(s'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        target = batch.td_target(batch.next.target.mix(batch.gather(self._best_q)))
        return batch.td_loss(batch.q_tot, target)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- Q_i^1(o_i, xi(a))``, a ~ mu_i; trains the perturbation. Continuous actions."""
        batch = self.view(data).continuous
        sampled = batch.with_distribution("behavior_network", lambda mu: mu.sample())
        action = batch.run("actor_network", sampled).get(self.tensor_keys.action)
        batch.record("perturbation", F.feature_mean((action - sampled).abs(), self.low, self.high))
        return batch.reduce(-batch.q_at(action, detach_params=True, first_critic=True)[..., 0])

    def behavior_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- log mu_i(a_i | o_i)``, or the released loss of the VAE; trains the behavior model."""
        batch = self.view(data)
        if self.vae_loss == "likelihood":
            return batch.reduce(-batch.behavior_log_prob)
        return batch.reduce(batch.gather(_reconstruction_error))

    def _best_q(self, batch: TeamView) -> Tensor:
        """Values ``[*B, N]`` of each agent's best action at the next step that the data support."""
        return self._best_supported_q(batch) if batch.is_discrete else self._best_sampled_q(batch)

    def _best_sampled_q(self, batch: TeamView) -> Tensor:
        """Values ``[*B, N]`` of each agent's best sampled and perturbed action at the next step."""
        count = torch.Size([self.num_action_samples])
        sampled = batch.next.with_distribution("behavior_network", lambda mu: mu.sample(count))
        action = batch.next.target.run("actor_network", sampled).get(self.tensor_keys.action)
        return F.soft_minimum(batch.next.target.q_at(action), self.lam).amax(0)

    def _best_supported_q(self, batch: TeamView) -> Tensor:
        """Values ``[*B, N]`` of each agent's best supported action at the next step; 0 if none is legal."""
        log_mu = log_probs(batch.next.distribution("behavior_network"))
        supported = F.supported_actions(log_mu, self.support_threshold, batch.next.action_mask)
        action = F.best_value(batch.next.q_values_min, supported).action
        q = F.soft_minimum(batch.next.target.q_at(action), self.lam)
        batch.record("supported_actions", supported.sum(-1).to(q.dtype))
        return torch.where(supported.any(-1), q, 0.0)


def _reconstruction_error(batch: TeamView) -> Tensor:
    """The released loss of the VAE ``[*B, N]``; discrete: ``- log mu_i(a_i | o_i)``."""

    def error(mu: Distribution) -> Tensor:
        if isinstance(mu, (LatentActions, GroupLatentActions)):
            return mu.squared_error_loss(batch.action)
        return -batch.log_prob_of(mu)

    return batch.with_distribution("behavior_network", error)
