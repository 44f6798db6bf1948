"""AWAC for teams: an actor-critic whose policy clones actions by their advantage over itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Categorical, Distribution

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_count
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.advantage_weighted import CLONING_DIAGNOSTICS, AdvantageWeightedLoss


class AWACLoss(AdvantageWeightedLoss):
    """Multi-agent AWAC (arXiv:2006.09359).

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2, their
    smaller value ``Q_i = min_e Q_i^e`` of each agent, and a bar for target parameters::

        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) E Qbar_tot(s', a'))^2, a' ~ pi
        loss_actor  = - mean min(exp(A_i / temperature), max_weight) log pi_i(a_i | o_i)
        A_i = w_i (Q_i(o_i, a_i) - E_{a ~ pi_i} Q_i(o_i, a))

    Expectations over the policy are exact for discrete actions; for continuous ones the target's is
    one sample, as published, and the advantage's the mean of ``samples``. The target reads actions of
    the policy, which may leave the data while the policy is still far from them.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]`` of observation and action, or
            for discrete actions ``[*B, N, K, E]`` of the observation.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        temperature: of the policy's weights (published: lambda), > 0, in units of return: small is
            greedy on few samples, large is behaviour cloning. Default 1.
        max_weight: the largest weight. Default 100.
        samples: of the policy for the advantage, continuous actions. Published 1 (default): its noise
            is the weights', too.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an argument is out of range, or an entry's shape is not the expected one, e.g. a
            reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("awac", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("loss_qvalue", "loss_actor")
    _with_parameters = ("qvalue_network_params", "actor_network_params")

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        temperature: float = 1.0,
        max_weight: float = 100.0,
        samples: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(actor_network, qvalue_network, mixer_network),
            temperature=temperature,
            max_weight=max_weight,
            **kwargs,
        )
        require_count("AWACLoss", 1, samples=samples)
        self.samples = samples

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_qvalue, *CLONING_DIAGNOSTICS]

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        learns = "loss_qvalue" in terms
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            weights = self._weights(inputs)
            every = self._every(inputs)
        local = self._chosen(every, inputs.get(self.tensor_keys.action))
        out: dict[str, Tensor] = {}
        if learns:
            with torch.no_grad():
                target = self._target(inputs, self._next_value(inputs), mask)
            out |= self._qvalue_term(inputs, local, weights, target, mask)
        if "loss_actor" in terms:
            log_prob, expected = self._policy(inputs, every.detach())
            gain = kernels.ensemble_minimum(local).detach() - expected
            share = self._share(gain, weights)
            out |= self._cloning_term(log_prob, share, self._entries(inputs, mask, gain.shape))
        return out

    def _next_value(self, inputs: TensorDictBase) -> Tensor:
        """Target values ``[*B, N]`` of the policy at the next step: one sample's, or their expectation."""
        if inputs.get(self.tensor_keys.action).dtype.is_floating_point:
            action = self._with_next_distribution("actor_network", inputs, lambda policy: policy.sample())
            return kernels.ensemble_minimum(self._next_local(inputs, action))
        probability = self._with_next_distribution("actor_network", inputs, _probabilities)
        value = kernels.ensemble_minimum(self._next_every(inputs, target=True))
        legal = inputs.get(next_key(self.tensor_keys.action_mask), None)
        return kernels.expected_value(value, probability, legal)

    def _policy(self, inputs: TensorDictBase, every: Tensor) -> tuple[Tensor, Tensor]:
        """Log density of the data's actions and the policy's expected value, detached, each ``[*B, N]``."""

        def use(policy: Distribution) -> tuple[Tensor, Tensor]:
            drawn = (
                _probabilities(policy) if isinstance(policy, Categorical) else policy.sample((self.samples,))
            )
            return self._log_prob_of(policy, inputs), drawn.detach()

        log_prob, drawn = self._with_distribution("actor_network", inputs, use)
        if not inputs.get(self.tensor_keys.action).dtype.is_floating_point:
            legal = inputs.get(self.tensor_keys.action_mask, None)
            return log_prob, kernels.expected_value(kernels.ensemble_minimum(every), drawn, legal)
        with torch.no_grad():
            value = kernels.ensemble_minimum(self._at_actions(inputs, drawn).squeeze(-2))
        return log_prob, value.mean(0)


def _probabilities(policy: Distribution) -> Tensor:
    return cast(Categorical, policy).probs
