"""TD3+BC for teams: a deterministic policy between the critic and the data."""

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
from omiga_torchrl.objectives.view import TeamView


class TD3BCLoss(TeamLoss):
    """Multi-agent TD3+BC (TD3+BC: NeurIPS 2021, arXiv:2106.06860), continuous actions.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)`` (no mixer: every Q_i by itself), twins Q^1, Q^2 and a
    bar for target parameters::

        a'_i = clip(pibar_i(o'_i) + clip(noise, +-noise_clip))
        loss_qvalue = sum_e mean (Q_tot^e(s, a) - r - gamma (1 - terminated) Qbar_tot(s', a'))^2
        loss_actor  = mean - lambda w_i Q_i^1(o_i, pi_i(o_i)) + |pi_i(o_i) - a_i|^2
        lambda = alpha / mean |w_i Q_i^1|, detached

    Qbar_tot mixes each agent's smaller twin. ``|.|^2`` is the mean over action features. With a monotonic
    mixer ``w_i`` is dQ_tot / dQ_i at the data's actions.

    The policy is updated at every step: with Adam and slow targets a delay (2 in TD3) changes little,
    and one step a batch keeps budgets comparable between algorithms.

    Args:
        actor_network: deterministic policy, writes the action ``[*B, N, A]``; tells its bounds ``low`` and
            ``high``, as :func:`omiga_torchrl.modules.deterministic_actor` does.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or a monotonic
            mixer of local values and ``state``; None learns independent critics, or one agent's.

    Keyword Args:
        alpha: weight of the critic against the data, >= 0; 0 is behavior cloning. It multiplies values
            that are divided by their mean size, so that it has no unit. Default 2.5, as published.
        policy_noise: standard deviation of the target policy's noise, in units of half the action range.
            Default 0.2.
        noise_clip: bound of the noise, in the same units. Default 0.5.
        **kwargs: of :class:`TeamLoss`.

    Raises:
        KeyError: an entry is missing.
        ValueError: an argument is out of its range, or an entry's shape is not the expected one, e.g. a
            reward per agent.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("td3_bc", spec).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("qvalue", "actor")
    metrics = ("cloning_error",)
    _schedulable_buffers = frozenset({"alpha"})

    alpha: Tensor

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 2.5,
        policy_noise: float = 0.2,
        noise_clip: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_number("TD3BCLoss", ">= 0", policy_noise=policy_noise, noise_clip=noise_clip)
        self.policy_noise, self.noise_clip = policy_noise, noise_clip
        self.add_coefficient("alpha", alpha, ">= 0")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, target=True, at_next=True)
        register_bounds(self, *required_bounds(self))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Qbar_tot(s', a'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        next_action = batch.next.target.smoothed_action(
            self.policy_noise, self.noise_clip, (self.low, self.high)
        )
        next_q = F.ensemble_minimum(batch.next.target.q_at(next_action))
        target = batch.td_target(batch.next.target.mix(next_q))
        return batch.td_loss(batch.q_tot, target)

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``|pi_i(o_i) - a_i|^2 - lambda w_i Q_i^1(o_i, pi_i(o_i))``; trains the policy."""
        batch = self.view(data)
        action = batch.policy_action
        q_pi = batch.weighted(batch.q_at(action, detach_params=True, first_critic=True)[..., 0])
        low, high = self.low, self.high
        error = (action - batch.action) / F.half_ranges(low, high)
        batch.record("cloning_error", F.feature_mean(error.square(), low, high))
        loss = F.td3_bc_actor_loss(
            q_pi, action, batch.action, self.alpha, batch.mask_for(q_pi), low=low, high=high
        )
        return batch.reduce(loss)
