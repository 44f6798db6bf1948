"""BRAC for teams: an actor-critic whose policy pays for leaving a model of the behaviour policy."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from tensordict import NestedKey, TensorDictBase, TensorDictParams
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor, nn
from torch.distributions import Distribution

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_count, require_number
from omiga_torchrl.functional.divergences import gaussian_kl
from omiga_torchrl.keys import next_key
from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.objectives.common import log_probabilities
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.proposals import Proposals
from omiga_torchrl.objectives.team_critic import TeamCriticLoss

_SAMPLES = 4  # as published


class _Acting(NamedTuple):
    """What the policy does at a step, each ``[*B, N]``.

    Attributes:
        value: Q_i of its actions.
        entropy: its entropy.
        divergence: KL from the behaviour model.
        log_prob: of the data's actions.
    """

    value: Tensor
    entropy: Tensor
    divergence: Tensor
    log_prob: Tensor


class BRACLoss(TeamCriticLoss):
    """Multi-agent BRAC with a policy penalty, "BRAC-p" (BRAC: arXiv:1911.11361).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2, a bar for
    target parameters, a behaviour model b_i and ``H_i = - E log pi_i``::

        loss_qvalue    = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) V(s'))^2
        V(s')          = Qbar_tot(s', a' ~ pi) + entropy_coeff sum_i H_i
        loss_actor     = mean alpha KL(pi_i | b_i) - w_i Q_i(o_i, a ~ pi_i) - entropy_coeff H_i
        loss_behaviour = - mean log b_i(a_i | o_i)
        loss_alpha     = - mean alpha (KL(pi_i | b_i) - target_divergence), if there is a target

    The smaller twin of each agent counts. Discrete: all expectations are exact sums over the legal
    actions. Continuous: one a' and one action for Q; KL is exact between tanh-Gaussians, and else the
    mean of ``log pi - log b`` over samples of the policy, as published. The behaviour model learns at
    the same time; the released code trains it beforehand.

    Args:
        actor_network: policy with a distribution, e.g. :func:`omiga_torchrl.modules.make_actor`.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
        behaviour_network: a second such policy, whose density is exact, or
            :func:`omiga_torchrl.modules.behaviour_model`.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        alpha: price of divergence >= 0, in units of return; 0 is an actor-critic, and the policy of a
            large one is the behaviour model. Published default 1.
        target_divergence: KL of each agent > 0 that alpha, in training, is moved to keep; it then
            starts at ``alpha``, and the output has ``alpha``. None (default) keeps alpha.
        max_alpha: largest alpha with a target. Published 500.
        entropy_coeff: price of certainty >= 0, in units of return. Default 0, as published.
        samples: number of samples of the policy for KL (continuous only). Published 4. None (default)
            takes 4 where no closed form is known; samples that tanh rounds to a bound distort KL.
        warm_up: updates in which the policy only clones the data. Published 20,000. They count in
            training mode, and are kept in the state_dict. Default 0.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of its range, or an entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("brac_p", spec, target_divergence=0.5).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_alpha', 'loss_behaviour', 'loss_qvalue']
    """

    behaviour_network: TensorDictModuleBase
    behaviour_network_params: TensorDictParams
    target_behaviour_network_params: TensorDictParams
    alpha: Tensor
    entropy_coeff: Tensor
    updates: Tensor

    _schedulable_buffers = frozenset({"alpha", "entropy_coeff", "gamma"})

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        behaviour_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 1.0,
        target_divergence: float | None = None,
        max_alpha: float = 500.0,
        entropy_coeff: float = 0.0,
        samples: int | None = None,
        warm_up: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        require_number("BRACLoss", ">= 0", alpha=alpha, entropy_coeff=entropy_coeff)
        require_number("BRACLoss", "> 0", max_alpha=max_alpha)
        require_count("BRACLoss", 0, warm_up=warm_up)
        if samples is not None:
            require_count("BRACLoss", 1, samples=samples)
        self.target_divergence, self.max_alpha = target_divergence, max_alpha
        self.samples, self.warm_up = samples, warm_up
        self.register_coeff_buffer("entropy_coeff", float(entropy_coeff))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.terms: tuple[str, ...] = ("loss_qvalue", "loss_actor", "loss_behaviour")
        if target_divergence is None:
            self.register_coeff_buffer("alpha", float(alpha))
        elif not 0 < target_divergence < math.inf or not 0 < alpha <= max_alpha:
            raise ValueError(
                f"BRACLoss: target_divergence is {target_divergence} with alpha={alpha} and max_alpha="
                f"{max_alpha}; expected a target > 0 and an alpha to start from in (0, max_alpha]."
            )
        else:
            self.terms = (*self.terms, "loss_alpha")
            self.log_alpha = nn.Parameter(torch.tensor(math.log(alpha)))
        self.convert_to_functional(actor_network, "actor_network")
        self.convert_to_functional(behaviour_network, "behaviour_network")

    def _acting_networks(self) -> list[TensorDictModuleBase]:
        return [self.actor_network, self.behaviour_network]

    def _found_out_keys(self) -> list[NestedKey]:
        more = [] if self.target_divergence is None else ["alpha"]
        return [*self.terms, self.tensor_keys.global_qvalue, "divergence", *more]

    def behaviour_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_behaviour``, whose gradient reaches the behaviour model only."""
        return self._term(tensordict, "loss_behaviour")

    def alpha_loss(self, tensordict: TensorDictBase) -> Tensor:
        """The term ``loss_alpha``, whose gradient reaches ``log_alpha`` only."""
        return self._term(tensordict, "loss_alpha")

    # Evaluation -----------------------------------------------------------------------

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms:
            with torch.no_grad():
                following, entropy = self._next_step(inputs)
                target = self._target(inputs, following, mask, bonus=self.entropy_coeff * entropy)
            local = self._local(inputs)
            out |= self._qvalue_term(inputs, local, self._weights(inputs), target, mask)
        if "loss_actor" in terms or "loss_alpha" in terms:
            out |= self._policy_terms(inputs, mask, terms)
        if "loss_behaviour" in terms:
            out["loss_behaviour"] = self._likelihood_term(inputs, mask, "behaviour_network")
        return out

    def _discrete(self, inputs: TensorDictBase) -> bool:
        return not inputs.get(self.tensor_keys.action).dtype.is_floating_point

    def _next_step(self, inputs: TensorDictBase) -> tuple[Tensor, Tensor]:
        """Target Q_i of the policy's actions at the next step and its entropy, each ``[*B, N]``."""
        if self._discrete(inputs):
            log_prob = self._with_next_distribution("actor_network", inputs, log_probabilities)
            every = kernels.ensemble_minimum(self._next_every(inputs, target=True))
            legal = inputs.get(next_key(self.tensor_keys.action_mask), None)
            value, entropy = _expectations(every, log_prob, legal)
        else:
            drawn = self._with_next_distribution(
                "actor_network", inputs, lambda policy: Proposals.of_policy(policy, 1)
            )
            value = kernels.ensemble_minimum(self._next_local(inputs, drawn.action[0]))
            entropy = -drawn.log_density[0]
        return value, entropy

    def _policy_terms(
        self, inputs: TensorDictBase, mask: Tensor | None, terms: Collection[str]
    ) -> dict[str, Tensor]:
        acting = self._summed(inputs) if self._discrete(inputs) else self._sampled(inputs)
        valid = self._entries(inputs, mask, acting.value.shape)
        alpha = self._price()
        out = {"divergence": masked_mean(acting.divergence.detach(), valid)}
        if self.target_divergence is not None:
            out["alpha"] = alpha.clone()
        if "loss_actor" in terms:
            with torch.no_grad():
                weights = self._weights(inputs)
            value = self._share(acting.value, weights)
            loss = alpha * acting.divergence - value - self.entropy_coeff * acting.entropy
            out["loss_actor"] = self._reduce(self._warmed_up(loss, -acting.log_prob), valid)
        if "loss_alpha" in terms:
            assert self.target_divergence is not None
            dual = kernels.dual_loss(self.log_alpha, acting.divergence, self.target_divergence)
            out["loss_alpha"] = self._reduce(dual, valid)
        return out

    def _price(self) -> Tensor:
        """alpha, detached; a learned one is first put back into its bounds."""
        if self.target_divergence is None:
            return self.alpha
        if self.training and torch.is_grad_enabled():
            self.log_alpha.data.clamp_(max=math.log(self.max_alpha))
        return self.log_alpha.detach().exp()

    def _warmed_up(self, loss: Tensor, cloning: Tensor) -> Tensor:
        """``loss``, or ``cloning`` in the first updates."""
        if not self.warm_up:
            return loss
        # Of tensors, so that nothing waits for the device.
        chosen = torch.where(self.updates < self.warm_up, cloning, loss)
        if self.training and torch.is_grad_enabled():
            self.updates.add_(1)
        return chosen

    def _sampled(self, inputs: TensorDictBase) -> _Acting:
        count = self.samples or _SAMPLES

        def draw(policy: Distribution) -> tuple[Distribution, Proposals, Tensor]:
            return policy, Proposals.of_policy(policy, count), self._log_prob_of(policy, inputs)

        policy, drawn, of_data = self._with_distribution("actor_network", inputs, draw)
        divergence = self._with_distribution(
            "behaviour_network",
            inputs,
            lambda behaviour: self._divergence(policy, behaviour, drawn),
            frozen=True,
        )
        value = kernels.ensemble_minimum(self._acted(inputs, drawn.action[0]))
        return _Acting(value, -drawn.log_density.mean(0), divergence, of_data)

    def _divergence(self, policy: Distribution, behaviour: Distribution, drawn: Proposals) -> Tensor:
        if self.samples is None and isinstance(policy, TanhGaussian) and isinstance(behaviour, TanhGaussian):
            return gaussian_kl(policy.loc, policy.scale, behaviour.loc, behaviour.scale)
        log_behaviour = behaviour.log_prob(drawn.action)
        return kernels.sampled_kl(drawn.log_density.movedim(0, -1), log_behaviour.movedim(0, -1))

    def _summed(self, inputs: TensorDictBase) -> _Acting:
        def use(policy: Distribution) -> tuple[Tensor, Tensor]:
            return log_probabilities(policy), self._log_prob_of(policy, inputs)

        legal = inputs.get(self.tensor_keys.action_mask, None)
        log_prob, of_data = self._with_distribution("actor_network", inputs, use)
        with torch.no_grad():
            behaviour = self._with_distribution("behaviour_network", inputs, log_probabilities)
            every = kernels.ensemble_minimum(self._every(inputs))
        value, entropy = _expectations(every, log_prob, legal)
        return _Acting(value, entropy, kernels.categorical_kl(log_prob, behaviour, legal), of_data)


def _expectations(every: Tensor, log_prob: Tensor, legal: Tensor | None) -> tuple[Tensor, Tensor]:
    """The mean of values ``[*B, N, K]`` under a policy, and its entropy."""
    probability = log_prob.exp()
    value = kernels.expected_value(every, probability, legal)
    return value, kernels.expected_value(-log_prob, probability, legal)
