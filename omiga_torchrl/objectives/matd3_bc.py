"""MATD3+BC: independent deterministic actor-critics that clone, the strong baseline of OG-MARL."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_choice
from omiga_torchrl.modules.bounds import register_bounds
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.networks import required_bounds
from omiga_torchrl.objectives.view import TeamView


class MATD3BCLoss(TeamLoss):
    """MATD3+BC, published as IDDPG+BC in "Dispelling the Mirage" (arXiv:2406.09068), continuous actions.

    Every agent has twins Q_i of the state and its own action; a bar is for target parameters, ``|.|^2`` the
    mean over action features, and Q_i the smaller twin::

        loss_qvalue = sum_e mean (Q_i^e(s, a_i) - r - gamma (1 - terminated) Qbar_i(s', pibar_i(o'_i)))^2
        loss_actor  = mean - lambda Q_i(s, pi_i(o_i)) + |pi_i(o_i) - a_i|^2 + action_penalty |pi_i(o_i)|^2
        lambda      = alpha / mean |Q_i|

    Variants
        ``"paper"`` (default): lambda is detached, as in TD3+BC.

        ``"official"``: the published code keeps lambda in the gradient. Where all Q of a batch have one
        sign, which is the rule, ``mean Q / mean |Q|`` is the constant +-1: the term of Q has no gradient at
        all, and the method is behavior cloning with a penalty on actions. Not reproduced: it optimizes
        with one Adam for each network, on sequences of 20 steps with GRUs (``rnn_hidden_size=64``).

    Args:
        actor_network: deterministic policy, writes the action ``[*B, N, A]``.
        qvalue_network: ensemble of action values, ``[*B, N, 1, E]``.
        mixer_network: None (published), or a linear or monotonic mixer.

    Keyword Args:
        alpha: weight of Q against the data, >= 0, without unit. Published 2.5.
        action_penalty: weight of the squared action, >= 0. Published 1e-3.
        variant: see above.
        **kwargs: ``gamma``, ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("matd3_bc", spec, hidden_sizes=[8]).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_qvalue']
    """

    terms = ("qvalue", "actor")
    metrics = ("cloning_error",)
    _schedulable_buffers = frozenset({"alpha", "action_penalty"})

    alpha: Tensor
    action_penalty: Tensor

    def __init__(
        self,
        actor_network: TensorDictModuleBase,
        qvalue_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 2.5,
        action_penalty: float = 1e-3,
        variant: str = "paper",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_choice("MATD3BCLoss", variant=(variant, ("paper", "official")))
        self.variant = variant
        self.add_coefficient("alpha", alpha, ">= 0")
        self.add_coefficient("action_penalty", action_penalty, ">= 0")
        self.add_network("qvalue_network", qvalue_network, target=True, at_next=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network, target=True, at_next=True)
        register_bounds(self, *required_bounds(self))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q - r - gamma (1 - terminated) Qbar(s', pibar(o')))^2``; trains Q network and mixer."""
        batch = self.view(data)
        following = batch.next.target
        next_q = F.ensemble_minimum(following.q_at(following.policy_action))
        return batch.td_loss(batch.q_tot, batch.td_target(following.mix(next_q)))

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- lambda Q_i + |pi_i - a_i|^2 + action_penalty |pi_i|^2``; trains the policy."""
        batch = self.view(data)
        action = batch.policy_action
        q_pi = batch.weighted(F.ensemble_minimum(batch.q_at(action, detach_params=True)))
        scale = F.td3_bc_lambda(q_pi, self.alpha, batch.mask_for(q_pi), detach=self.variant == "paper")
        low, high = self.low, self.high
        error = F.feature_mean(((action - batch.action) / F.half_ranges(low, high)).square(), low, high)
        size = F.feature_mean(F.to_unit(action, low, high).square(), low, high)
        batch.record("cloning_error", error)
        return batch.reduce(error - scale * q_pi + self.action_penalty * size)
