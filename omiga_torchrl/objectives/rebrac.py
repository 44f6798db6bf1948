"""ReBRAC for teams: TD3+BC whose critic, too, is held near the data."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number
from omiga_torchrl.modules.bounds import register_bounds
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.networks import required_bounds
from omiga_torchrl.objectives.sequences import next_step_of
from omiga_torchrl.objectives.view import TeamView


class ReBRACLoss(TeamLoss):
    """Multi-agent ReBRAC (ReBRAC: NeurIPS 2023, arXiv:2305.09836), continuous actions, sequences ``[*B, T]``.

    With twins Q^1, Q^2, ``Q_i = min_e Q_i^e``, a bar for target parameters, the data's next action a', n
    agents, and ``|.|^2`` the sum over action features, in units of half their range::

        abar_i      = clip(pibar_i(o'_i) + clip(noise, +-noise_clip))
        loss_qvalue = sum_e mean (Q_tot^e - y)^2
        y           = r + gamma (1 - terminated) (Qbar_tot(s', abar) - critic_bc_coeff / n sum_i d_i)
        d_i         = |abar_i - a'_i|^2
        loss_actor  = mean actor_bc_coeff |pi_i(o_i) - a_i|^2 - w_i Q_i(o_i, pi_i(o_i)) / mean |w_i Q_i|

    The next action is that of the sequence's next step: its last step has a target only if it is terminated,
    and is left out otherwise. No multi-agent version is published; divided by n, the published coefficients
    carry over. Published besides: an actor that is updated every second step, with the targets
    (``make_rebrac``), layer normalization in the critics, and 3 hidden layers of 256.

    Args:
        actor_network: deterministic policy, writes the action ``[*B, T, N, A]``.
        qvalue_network: ensemble of local action values, ``[*B, T, N, 1, E]``.
        mixer_network: linear or monotonic mixer; None learns independent critics, or one agent's.

    Keyword Args:
        actor_bc_coeff: weight of cloning in the policy's loss, >= 0, without unit. Published 0.001 to 0.1.
        critic_bc_coeff: weight of the distance in the target, >= 0, in units of return. Published 0 to 0.5.
        policy_noise: standard deviation of the target policy's noise, in units of half the action range.
        noise_clip: bound of the noise, in the same units.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("rebrac", spec, hidden_sizes=[8]).loss
        >>> sorted(key for key in loss(spec.fake_batch(8, 4)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("qvalue", "actor")
    metrics = ("target_distance",)

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        actor_bc_coeff: float = 0.1,
        critic_bc_coeff: float = 0.01,
        policy_noise: float = 0.2,
        noise_clip: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("ReBRACLoss", ">= 0", actor_bc_coeff=actor_bc_coeff, critic_bc_coeff=critic_bc_coeff)
        require_number("ReBRACLoss", ">= 0", policy_noise=policy_noise, noise_clip=noise_clip)
        self.actor_bc_coeff, self.critic_bc_coeff = actor_bc_coeff, critic_bc_coeff
        self.noise = policy_noise, noise_clip
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, target=True, at_next=True)
        register_bounds(self, *required_bounds(self))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - y)^2``; trains Q network and mixer."""
        batch = self.view(data)
        steps, next_target = batch.steps, batch.next.target
        action = next_target.smoothed_action(*self.noise, (self.low, self.high))
        distance = self._distance(action, next_step_of(batch.action, dim=-3))
        next_q = next_target.mix(F.ensemble_minimum(next_target.q_at(action)))
        batch.record("target_distance", distance, steps.bootstraps)
        penalty = self.critic_bc_coeff / (batch.agents[-1] if self.has_mixer else 1) * distance
        return batch.td_loss(batch.q_tot, batch.td_target(next_q, -penalty), steps.known)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``actor_bc_coeff |pi_i - a_i|^2 - w_i Q_i / mean |w_i Q_i|``; trains the policy."""
        batch = self.view(data)
        q_pi = batch.weighted(F.ensemble_minimum(batch.q_at(batch.policy_action, detach_params=True)))
        error = self._distance(batch.policy_action, batch.action)
        scale = F.td3_bc_lambda(q_pi, 1.0, batch.mask_for(q_pi))
        return batch.reduce(self.actor_bc_coeff * error - scale * q_pi)

    def _distance(self, one: Tensor, other: Tensor) -> Tensor:
        """Squared distance of two actions, in units of half their range, features summed."""
        return ((one - other) / F.half_ranges(self.low, self.high)).square().sum(-1)
