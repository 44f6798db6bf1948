"""ComaDICE: the stationary distribution of the best policy near the data's, from a convex dual."""

from __future__ import annotations

from typing import Any, Literal

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModuleBase
from torch import Tensor, nn

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_number, unknown_name
from omiga_torchrl.objectives.base import TeamLoss
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.view import TeamView

Variant = Literal["paper", "official"]


class ComaDICELoss(TeamLoss):
    """ComaDICE (ICLR 2025, arXiv:2410.01954): stationary-distribution correction for teams.

    With ``Q_tot = sum_i w_i(s) Q_i + b(s)``, ``V_tot = sum_i w_i(s) V_i + b(s)`` (no mixer: every Q_i
    and V_i by itself), a bar for target parameters, a Lagrange multiplier lambda, and the soft chi-square
    divergence f with the ratio ``r(x) = exp(x)`` for x < 0, else ``x + 1``, and the conjugate ``f*(x)``,
    whose slope is r::

        e = Qbar_tot(s, a) - V_tot(s)
        loss_qvalue   = sum_e mean (Q_tot - r - gamma (1 - terminated) Vbar_tot(s'))^2
        loss_value    = (1 - gamma) mean V_tot(s_0) + mean alpha f*(e / alpha)
        loss_lagrange = mean alpha f*((e - lambda) / alpha) + lambda
        loss_actor    = - mean r((e - lambda) / alpha) log pi_i(a_i | o_i)

    The policy maximizes return minus alpha times the divergence of its stationary distribution from
    the data's; loss_value is the dual of that, and r(e / alpha) the ratio of both distributions at the
    optimum. All agents have the same weight, that of the joint action. Its mean over the data is 1 by
    lambda, a number that learns.

    Q_tot stands for ``r + gamma V_tot(s')``, which is how e depends on V_tot(s'): so the gradient of
    loss_value is ``r(e / alpha) (gamma (1 - terminated) grad V_tot(s') - grad V_tot(s))`` besides that
    of the first states. Without the part at s', no state but the first would hold its V down: raising
    it would always lower the loss. The flow between states fixes the total of the ratios; a multiplier
    in loss_value, too, would leave no flow for terminations. V learns with the target mixer's weights.

    Variants
        ``"paper"`` (default): as above.

        ``"official"``: the released code. With ``e_i = w_i (Q_i - V_i)`` of each agent, online Q and
        mixer, ``ebar_i = wbar_i (Qbar_i - V_i)``, ``x_i = (e_i - lambda_v) / alpha``, a second multiplier
        lambda_v, and ``g(x) = f(r(x))``::

            loss_value    = (1 - gamma) mean V_i(s_0) + lambda_v
                            + mean r(x_i) (sg(e_i) - lambda_v) - alpha sg(g(x_i))
            loss_lagrange = mean alpha f*((ebar_i - lambda) / alpha) + lambda
            loss_actor    = - mean sum_j min(r((ebar_j - lambda) / alpha), max_weight) log pi_i(a_i | o_i)

        In loss_value e and g are detached (sg), but not r: so its gradient at V_i is ``- w_i x r'(x)``
        instead of ``- w_i r(x)``: that of g(x), a regression of V_i on Q_i that does not weigh the two
        sides alike, rather than the dual. In loss_lagrange the release detaches the ratio, too, so that
        the gradient at lambda is ``1 - mean r``, that of the dual. The first states have their local V_i,
        unmixed. With discrete actions the release takes ``max_weight=2``, of each agent's ratio before
        they are added; with continuous ones it has no bound.

        Not of this loss, and to be set or lived with: Adam with learning rate 1e-4, one optimizer a term,
        gradients clipped to norm 1; the terms' steps one after the other (Q, V, lambda, policy), where
        here all terms are of the same parameters; soft updates of 0.005 a gradient step; rewards as they
        are, on SMAC returns-to-go; actions divided by 4; on SMAC a policy without action mask.

    First states are those of rows where ``is_init`` is True, burn-in included. A batch without any has
    no such term; larger batches have it more often.

    Args:
        actor_network: policy with a distribution of batch shape ``[*B, N]``.
        qvalue_network: ensemble of local action values, ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.
            Released: one. The smallest of each agent counts in e.
        value_network: observation to ``local_value [*B, N, 1]``.
        mixer_network: ``state`` to (``mixer_weight [*B, N, 1]``, ``mixer_bias [*B, 1]``), or local values
            and state to the team's value; None learns independent critics, or one agent's.

    Keyword Args:
        alpha: divides advantages: price of divergence > 0, in units of return. Published 10, on raw rewards.
            Default 10.
        variant: see above. Default ``"paper"``.
        max_weight: largest weight of the policy's loss > 0, or None (default); official: of an agent's ratio.
        **kwargs: ``gamma`` (here < 1), ``burn_in``, ``reduction`` and ``value_scale`` of :class:`TeamLoss`.
            Unreduced, each entry has all of what is a mean itself.

    Raises:
        KeyError: an entry is missing, e.g. ``is_init``, which
            :class:`omiga_torchrl.data.OfflineDataset` gives.
        ValueError: an argument is out of its range, or an entry's shape is not the expected one.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> loss = make_algorithm("comadice", spec, alpha=1.0).loss
        >>> sorted(key for key in loss(spec.fake_batch(8)).keys() if key.startswith("loss_"))
        ['loss_actor', 'loss_lagrange', 'loss_qvalue', 'loss_value']
    """

    terms = ("value", "qvalue", "lagrange", "actor")
    metrics = ("mean_weight", "effective_sample_size")
    reads = ("action", "reward", "terminated", "done", "is_init")
    _schedulable_buffers = frozenset({"alpha"})

    alpha: Tensor

    def __init__(
        self,
        actor_network: ProbabilisticTensorDictSequential,
        qvalue_network: TensorDictModuleBase,
        value_network: TensorDictModuleBase,
        mixer_network: TensorDictModuleBase | None = None,
        *,
        alpha: float = 10.0,
        variant: Variant = "paper",
        max_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if variant not in ("paper", "official"):
            raise unknown_name("ComaDICELoss", "variant", variant, ("paper", "official"))
        if max_weight is not None:
            require_number("ComaDICELoss", "> 0", max_weight=max_weight)
        self.is_official, self.max_weight = variant == "official", max_weight
        self.add_coefficient("alpha", alpha, "> 0")
        self.lagrange_multiplier = nn.Parameter(torch.zeros(()))
        if self.is_official:
            self.value_lagrange_multiplier = nn.Parameter(torch.zeros(()))
        self.add_network("qvalue_network", qvalue_network, target=True)
        self.add_network("mixer_network", mixer_network, target=True, at_next=True)
        self.add_network("actor_network", actor_network)
        self.add_network("value_network", value_network, target=True, at_next=True)

    def value_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(1 - gamma) V(s_0) + alpha f*(e / alpha)``, or the released code's; trains V (and lambda_v)."""
        batch = self.view(data)
        if self.is_official:
            value, advantage = batch.v, batch.weighted(batch.q_min.detach() - batch.v)
            loss = F.comadice_official_value_loss(advantage, self.value_lagrange_multiplier, self.alpha)
        else:
            value = batch.target.mix(batch.v)
            advantage = batch.target.mix(batch.target.q_min) + self._next_value_slope(batch) - value
            loss = F.comadice_value_loss(advantage, self.alpha)
        return batch.reduce(loss + (1 - self.gamma) * mean_at_starts(batch, value))

    def qvalue_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``(Q_tot - r - gamma (1 - terminated) Vbar_tot(s'))^2``; trains Q network and mixer."""
        batch = self.view(data)
        return batch.td_loss(batch.q_tot, batch.td_target(batch.next.target.v_tot))

    def lagrange_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``alpha f*((e - lambda) / alpha) + lambda``; trains the multiplier of the policy's weights."""
        batch = self.view(data)
        advantage = self._advantage(batch)
        batch.record("mean_weight", F.comadice_weight(advantage, self.lagrange_multiplier, self.alpha))
        return batch.reduce(F.comadice_lagrange_loss(advantage, self.lagrange_multiplier, self.alpha))

    def actor_loss(self, data: TensorDictBase | TeamView) -> Tensor:
        """``- r((e - lambda) / alpha) log pi_i(a_i | o_i)``; trains the policy."""
        batch = self.view(data)
        weight = F.comadice_weight(
            self._advantage(batch), self.lagrange_multiplier, self.alpha, self.max_weight
        )
        agent_mask = batch.agent_mask
        if self.is_official:
            weight = weight if agent_mask is None else torch.where(agent_mask, weight, 0.0)
            weight = weight.sum(-1, keepdim=True)
        elif self.has_mixer:
            weight = weight.unsqueeze(-1)
        weight = weight.expand(batch.agents)
        batch.record("effective_sample_size", F.effective_sample_size(weight, batch.mask_for(weight)))
        return batch.reduce(-weight * batch.log_prob)

    def _advantage(self, batch: TeamView) -> Tensor:
        """Advantage e of the policy's weights, detached: the team's ``[*B]``, or of agents ``[*B, N]``."""

        def compute() -> Tensor:
            target, value = batch.target, batch.v.detach()
            if self.is_official:
                return target.weighted(target.q_min - value)
            return target.mix(target.q_min) - target.mix(value)

        return batch.once("comadice_advantage", compute)

    def _next_value_slope(self, batch: TeamView) -> Tensor:
        """0 with the gradient of the ``gamma (1 - terminated) V_tot(s')`` that Qbar_tot stands for."""
        next_value = batch.next.target.mix(batch.next_with_grad.v)
        discount = self.gamma.to(next_value.dtype)
        if batch.steps_to_next_obs is not None:
            discount = discount**batch.steps_to_next_obs
        discount = discount * ~batch.terminated
        if not self.has_mixer:
            discount = discount.unsqueeze(-1)
        return discount * (next_value - next_value.detach())


def mean_at_starts(batch: TeamView, value: Tensor) -> Tensor:
    """Mean of values over the first rows of episodes, burn-in included; 0 without any.

    Args:
        batch: the batch.
        value: of the team ``[*B]``, or of agents ``[*B, N]``.
    """
    is_init = batch.team_entry(batch.loss.tensor_keys.is_init)  # False at padding
    if value.ndim > is_init.ndim:
        is_init, agent_mask = is_init.unsqueeze(-1).expand_as(value), batch.agent_mask
        is_init = is_init if agent_mask is None else is_init & agent_mask
    return masked_mean(value, is_init)
