"""TD3+BC for teams: a deterministic policy between the critic and the data."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as kernels
from omiga_torchrl.errors import require_number
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.team_critic import TeamCriticLoss


class TD3BCLoss(TeamCriticLoss):
    """Multi-agent TD3+BC (TD3+BC: NeurIPS 2021, arXiv:2106.06860), continuous actions.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2 and a
    bar for target parameters::

        a'_i = clip(pibar_i(o'_i) + clip(noise, +-noise_clip))
        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2
        loss_actor  = mean - lambda w_i Q_i^1(o_i, pi_i(o_i)) + |pi_i(o_i) - a_i|^2
        lambda = alpha / mean |w_i Q_i^1|, detached

    Qbar_tot mixes each agent's smaller twin. ``|.|^2`` is the mean over action features.

    The policy is updated at every step: with Adam and slow targets a delay (2 in TD3) changes little,
    and one step a batch keeps budgets comparable between algorithms.

    Args:
        actor_network: deterministic policy, writes the action ``[*B, N, A]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``); None learns
            independent critics, or one agent's.

    Keyword Args:
        alpha: weight of the critic against the data, >= 0; 0 is behaviour cloning. Its unit is free:
            values are divided by their mean size. Published 2.5.
        noise: standard deviation of the target policy's noise, in units of half the action range.
        noise_clip: bound of the noise, in the same units.
        low: lower bound of actions.
        high: upper bound of actions.
        **kwargs: ``gamma``, ``burn_in`` and ``reduction`` of :class:`TeamCriticLoss`.

    Raises:
        KeyError: if an entry is missing.
        ValueError: if an entry's shape is not the expected one, e.g. a reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("td3_bc", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("loss_qvalue", "loss_actor")

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 2.5,
        noise: float = 0.2,
        noise_clip: float = 0.5,
        low: float = -1.0,
        high: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(qvalue_network, mixer_network, **kwargs)
        require_number("TD3BCLoss", ">= 0", alpha=alpha, noise=noise, noise_clip=noise_clip)
        self.noise, self.noise_clip, self.low, self.high = noise, noise_clip, low, high
        self.register_coeff_buffer("alpha", alpha)
        self.convert_to_functional(actor_network, "actor_network", create_target_params=True)

    def _found_out_keys(self) -> list[NestedKey]:
        return [*self.terms, self.tensor_keys.global_qvalue, "cloning_error"]

    def _evaluate(self, tensordict: TensorDictBase, terms: Collection[str]) -> dict[str, Tensor]:
        inputs, mask = self._inputs(tensordict)
        out: dict[str, Tensor] = {}
        if "loss_qvalue" in terms:
            with torch.no_grad():
                following = kernels.ensemble_minimum(self._next_local(inputs, self._smoothed_action(inputs)))
                target = self._target(inputs, following, mask)
            local = self._local(inputs)
            out |= self._qvalue_term(inputs, local, self._weights(inputs), target, mask)
        if "loss_actor" in terms:
            out |= self._actor_term(inputs, mask)
        return out

    def _smoothed_action(self, inputs: TensorDictBase) -> Tensor:
        """The target policy's action at the next step, with clipped noise, ``[*B, N, A]``."""
        action = self._next_action(inputs, target=True)
        half = (self.high - self.low) / 2
        noise = (self.noise * torch.randn_like(action)).clamp(-self.noise_clip, self.noise_clip)
        return (action + half * noise).clamp(self.low, self.high)

    def _actor_term(self, inputs: TensorDictBase, mask: Tensor | None) -> dict[str, Tensor]:
        data = inputs.get(self.tensor_keys.action)
        action = self._action(inputs)
        with torch.no_grad():
            weights = self._weights(inputs)
        value = self._share(self._acted_first(inputs, action), weights)
        valid = self._entries(inputs, mask, value.shape)
        scale = kernels.objective_scale(value, self.alpha, valid)
        error = (action - data).square().mean(-1)
        return {
            "loss_actor": self._reduce(error - scale * value, valid),
            "cloning_error": masked_mean(error.detach(), valid),
        }
