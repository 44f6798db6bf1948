"""BCQ for teams: Q-learning over actions that a model of the behaviour policy proposes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, get_args

import torch
from tensordict import NestedKey, TensorDictBase, TensorDictParams
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Distribution

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules.behaviour_models import LatentActions
from omiga_torchrl.objectives.common import log_probabilities
from omiga_torchrl.objectives.critic import repeated
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.team_critic import TeamCriticLoss

VAELoss = Literal["likelihood", "squared_error"]


class BCQLoss(TeamCriticLoss):
    """Multi-agent batch-constrained Q-learning (BCQ: ICML 2019, arXiv:1812.02900; discrete arXiv:1910.01708).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), a model mu of the behaviour
    policy, a bar for target parameters, and ``soft_e x_e = share min_e x_e + (1 - share) max_e x_e``::

        loss_qvalue    = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qhat_tot(s'))^2
        loss_behaviour = - mean log mu_i(a_i | o_i)

    and Qhat_tot mixes, with the target mixer, each agent's value of its best supported next action.

    Continuous actions: mu is a conditional VAE, xi a small perturbation that is learned::

        Qhat_i = max over samples m of soft_e Qbar_i^e(o'_i, xibar(a_m)),  a_m ~ mu(. | o'_i)
        loss_actor = - mean Q_i^1(o_i, xi(a)),  a ~ mu(. | o_i)

    The policy that acts is :class:`omiga_torchrl.modules.candidate_policy.CandidatePolicy`.

    Discrete actions: mu is a masked categorical, and there is no policy network::

        Qhat_i = soft_e Qbar_i^e(o'_i, a*),  a* = argmax of min_e Q_i^e(o'_i, a) over supported a
        a is supported if it is legal and mu(a | o'_i) >= threshold max_legal mu(. | o'_i)

    The policy that acts is :func:`omiga_torchrl.modules.candidate_policy.supported_action_policy`.

    The released continuous multi-agent code swaps latents and agent ids of the decoder between
    training and sampling; that is not reproduced. Neither are two parts of the released single-agent
    discrete code, the Huber loss and a penalty on logits.

    Args:
        actor_network: xi, observation and action to an action; None for discrete actions.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]`` of observation and action, or
            for discrete actions ``[*B, N, K, E]`` of the observation.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        behaviour_network: mu, see :func:`omiga_torchrl.modules.behaviour_model`.
        samples: of mu in the target, continuous actions. Default 10.
        minimum_share: of the smaller critic, in [0, 1]. Default 0.75; with one critic it says nothing.
        threshold: of supported actions, in [0, 1]. Default 0.3 (published; OG-MARL's teams 0.4).
        vae_loss: ``"likelihood"`` (default): the VAE's own lower bound, with a standard deviation that
            is learned; ``"squared_error"``: as released, see
            :meth:`omiga_torchrl.modules.ConditionalVAE.squared_error_loss`.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of range, or an entry's shape is not the expected one, e.g. a
            reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("bcq", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_behaviour', 'loss_qvalue']
    """

    _with_parameters = ("qvalue_network_params", "behaviour_network_params")

    behaviour_network: TensorDictModuleBase
    behaviour_network_params: TensorDictParams
    target_behaviour_network_params: TensorDictParams

    def __init__(
        self,
        actor_network: TensorDictModuleBase | None,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        behaviour_network: TensorDictModuleBase,
        samples: int = 10,
        minimum_share: float = 0.75,
        threshold: float = 0.3,
        vae_loss: VAELoss = "likelihood",
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        require_number("BCQLoss", "in [0, 1]", minimum_share=minimum_share, threshold=threshold)
        require_count("BCQLoss", 1, samples=samples)
        if vae_loss not in get_args(VAELoss):
            raise unknown_name("BCQLoss", "vae_loss", vae_loss, get_args(VAELoss))
        self.samples, self.minimum_share, self.threshold = samples, minimum_share, threshold
        self.vae_loss = vae_loss
        self.perturbs = actor_network is not None
        self.terms = ("loss_qvalue",) + ("loss_actor",) * self.perturbs + ("loss_behaviour",)
        if actor_network is not None:
            self.convert_to_functional(actor_network, "actor_network", create_target_params=True)
        self.convert_to_functional(behaviour_network, "behaviour_network")

    def _found_out_keys(self) -> list[NestedKey]:
        told = "perturbation" if self.perturbs else "supported_actions"
        return [*self.terms, self.tensor_keys.global_qvalue, told]

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.behaviour_network, *([self.actor_network] if self.perturbs else [])]

    def behaviour_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_behaviour``, whose gradient reaches the behaviour model only."""
        return self._term(tensordict, "loss_behaviour")

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms:
            following, told = self._next_perturbed(inputs) if self.perturbs else self._next_supported(inputs)
            target = self._target(inputs, following, mask)
            out |= self._qvalue_term(inputs, self._local(inputs), self._weights(inputs), target, mask)
            out |= {name: masked_mean(x, self._entries(inputs, mask, x.shape)) for name, x in told.items()}
        if "loss_actor" in terms:
            out |= self._actor_term(inputs, mask)
        if "loss_behaviour" in terms:
            loss = self._with_distribution("behaviour_network", inputs, lambda mu: self._misfit(mu, inputs))
            out["loss_behaviour"] = self._reduce(loss, self._entries(inputs, mask, loss.shape))
        return out

    def _misfit(self, behaviour: Distribution, inputs: TensorDictBase) -> Tensor:
        """How badly the model explains the data's actions, ``[*B, N]``."""
        if self.vae_loss == "squared_error" and isinstance(behaviour, LatentActions):
            action = inputs.get(self.tensor_keys.action)
            return behaviour.model.squared_error_loss(behaviour.observation, action)
        return -self._log_prob_of(behaviour, inputs)

    # Continuous actions ---------------------------------------------------------------

    @torch.no_grad()
    def _next_perturbed(self, inputs: TensorDictBase) -> tuple[Tensor, dict[str, Tensor]]:
        """Values ``[*B, N]`` of each agent's best sample at the next step."""
        names = self.tensor_keys
        count = (self.samples,)
        drawn = self._with_next_distribution("behaviour_network", inputs, lambda mu: mu.sample(count))
        read = dict.fromkeys([*self.actor_network.in_keys, *self.qvalue_network.in_keys])
        acting = repeated(inputs, [key for name in read for key in (name, next_key(name))], self.samples)
        acting.set(next_key(names.action), drawn.flatten(0, 1))
        self._run_next("actor_network", acting, target=True)
        value = self._run_next("qvalue_network", acting, target=True).get(names.local_qvalue).squeeze(-2)
        value = kernels.soft_minimum(value, self.minimum_share)
        return value.unflatten(0, (self.samples, -1)).amax(0), {}

    def _actor_term(self, inputs: TensorDictBase, mask: Tensor | None) -> dict[str, Tensor]:
        drawn = self._with_distribution("behaviour_network", inputs, lambda mu: mu.sample())
        acting = inputs.select(*self.actor_network.in_keys).set(self.tensor_keys.action, drawn)
        action = self._run("actor_network", acting).get(self.tensor_keys.action)
        value = self._acted_first(inputs, action)
        valid = self._entries(inputs, mask, value.shape)
        return {
            "loss_actor": self._reduce(-value, valid),
            "perturbation": masked_mean((action - drawn).detach().abs().mean(-1), valid),
        }

    # Discrete actions -----------------------------------------------------------------

    @torch.no_grad()
    def _next_supported(self, inputs: TensorDictBase) -> tuple[Tensor, dict[str, Tensor]]:
        """Values ``[*B, N]`` of each agent's best supported action at the next step."""
        log_prob = self._with_next_distribution("behaviour_network", inputs, log_probabilities)
        legal = inputs.get(next_key(self.tensor_keys.action_mask), None)
        allowed = kernels.supported_actions(log_prob, self.threshold, legal)
        online = kernels.ensemble_minimum(self._next_every(inputs, target=False))
        best = kernels.best_value(online, allowed)
        value = self._chosen(self._next_every(inputs, target=True), best.action)
        value = torch.where(allowed.any(-1), kernels.soft_minimum(value, self.minimum_share), 0.0)
        return value, {"supported_actions": allowed.sum(-1).to(value.dtype)}
