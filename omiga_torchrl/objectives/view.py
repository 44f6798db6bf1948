"""`TeamView`: a batch as the terms of a loss read it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import torch
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torch.distributions import Categorical, Distribution

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_shape
from omiga_torchrl.objectives.batch import TeamBatch
from omiga_torchrl.objectives.checks import check_index
from omiga_torchrl.objectives.evaluation import NetworkView, full_precision
from omiga_torchrl.objectives.targets import td_target

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss


Result = TypeVar("Result")


class MixerOutput(NamedTuple):
    """Weights ``[*B, N]`` and bias ``[*B]`` of a linear mixer; agents that take no part have weight 0."""

    weight: Tensor
    bias: Tensor


def memoized(compute: Callable[[Any], Any]) -> property:
    """A property that is computed on first use and kept, in a plain dict, which Dynamo can trace."""
    name = compute.__name__

    @wraps(compute)
    def read(self: Any) -> Any:
        if name not in self.memo:
            self.memo[name] = compute(self)
        return self.memo[name]

    return property(read)


class TeamView(NetworkView):
    """A batch as the terms of a loss read it: every network is evaluated on first use and never twice.

    ``view.q`` is of the online networks at this step; ``view.target.q`` of the target networks,
    ``view.next.v`` at the next step, ``view.next.target.q_values`` both. Target networks and the next step
    carry no gradient; ``view.next_with_grad`` does.

    Agents of the data, whatever their group is called, are dimension N in one fixed order. *Local* values
    are ``[*B, N]``, with a last dimension E for an ensemble of critics. *Team* values are ``[*B]`` with a
    mixer; without one every agent is a team of its own and they are local ones. Masks, absent agents,
    burn-in, memories, discrete or continuous actions are settled here, once.

    Args:
        loss: gives networks and keys.
        batch: the entries, see :func:`omiga_torchrl.objectives.batch.read_batch`.
        **place: see :class:`NetworkView`.
    """

    def __init__(self, loss: TeamLoss, batch: TeamBatch, **place: bool) -> None:
        super().__init__(loss, batch, **place)
        self.memo: dict[str, Any] = {}
        self._views = {(self._at_next, self._is_target, self._with_grad): self}

    # The same batch elsewhere -------------------------------------------------------------

    def _elsewhere(self, at_next: bool, is_target: bool, with_grad: bool) -> TeamView:
        place = (at_next, is_target, with_grad)
        if place not in self._views:
            view = TeamView(*(self.loss, self.batch), at_next=at_next, is_target=is_target, with_grad=with_grad)
            view._views = self._views
            self._views[place] = view
        return self._views[place]

    @property
    def next(self) -> TeamView:
        """The next step, without gradient."""
        return self._elsewhere(True, self._is_target, False)

    @property
    def next_with_grad(self) -> TeamView:
        """The next step, with gradient of the online networks."""
        return self._elsewhere(True, False, True)

    @property
    def target(self) -> TeamView:
        """The target networks, without gradient; where a network has none, its online parameters."""
        return self._elsewhere(self._at_next, True, False)

    def once(self, name: str, compute: Callable[[], Result]) -> Result:
        """``compute()`` on first use and kept: a quantity of one algorithm that several terms read.

        Args:
            name: what it is kept under, not a property of this class.
            compute: a function without arguments.
        """
        if name not in self.memo:
            self.memo[name] = compute()
        return cast(Result, self.memo[name])

    # Values -------------------------------------------------------------------------------

    def _ensemble(self, written: Tensor) -> Tensor:
        """Output of the Q network with its ensemble dimension last; a single network is an ensemble of one."""
        written = full_precision(written)
        single = written.ndim == len(self.agents) + 1
        return written.unsqueeze(-1) if single else written

    @memoized
    def q_values(self) -> Tensor:
        """Q_i of all actions ``[*B, N, K, E]``; continuous: of the data's action ``[*B, N, 1, E]``."""
        return self._ensemble(self.run("qvalue_network").get(self.loss.tensor_keys.local_qvalue))

    @memoized
    def q(self) -> Tensor:
        """Q_i of the data's action, local, ``[*B, N, E]``."""
        return self.q_at(self.action)

    def q_at(self, action: Tensor, *, detach_params: bool = False, first_critic: bool = False) -> Tensor:
        """Q_i of other actions than the data's, ``[*B, N, E]``, or ``[M, *B, N, E]`` of M samples each.

        Args:
            action: as the data's, or with a sample dimension in front.

        Keyword Args:
            detach_params: only the action gets a gradient: a critic that judges a policy.
            first_critic: of the first critic alone, ``E = 1``, at the cost of one.
        """
        if self.loss.is_discrete:
            return self._of_index(action)
        if action is self.data.get(self.loss.tensor_keys.action, None) and not detach_params:
            return cast(Tensor, self.q_values.squeeze(-2))
        name = self.loss.first_critic if first_critic else "qvalue_network"
        written = self.run(name, action, detach_params=detach_params).get(self.loss.tensor_keys.local_qvalue)
        samples = action.ndim > self.action.ndim if not self._at_next else self._has_samples(action)
        single = written.ndim == len(self.agents) + 1 + samples
        written = full_precision(written)
        return cast(Tensor, written.squeeze(-1).unsqueeze(-1) if single else written.squeeze(-2))

    def _of_index(self, action: Tensor) -> Tensor:
        q_values, key = self.q_values, self.loss.tensor_keys.action
        if self.batch.checked and not self._at_next:
            check_index(type(self.loss).__name__, key, action, q_values.shape[-2], self.agent_mask)
        return cast(Tensor, q_values.take_along_dim(action[..., None, None], -2).squeeze(-2))

    @memoized
    def q_min(self) -> Tensor:
        """Smallest critic's Q_i of the data's action ``[*B, N]``."""
        return F.ensemble_minimum(self.q)

    @memoized
    def q_values_min(self) -> Tensor:
        """Smallest critic's Q_i of all actions of a discrete team ``[*B, N, K]``."""
        return F.ensemble_minimum(self.q_values)

    @memoized
    def v(self) -> Tensor:
        """V_i, local, ``[*B, N]``."""
        return self.output("value_network", self.loss.tensor_keys.local_value)

    @memoized
    def q_tot(self) -> Tensor:
        """Team value of the data's action, ``[*B, E]``; without a mixer ``[*B, N, E]``."""
        return self.mix(self.q)

    @memoized
    def v_tot(self) -> Tensor:
        """Team value of V_i, ``[*B]``; without a mixer ``[*B, N]``."""
        return self.mix(self.v)

    # Mixing -------------------------------------------------------------------------------

    @memoized
    def mixer_output(self) -> MixerOutput:
        """Weights and bias of a linear mixer."""
        names = self.loss.tensor_keys
        out = self.run("mixer_network")
        weight, bias = full_precision(out.get(names.mixer_weight)), full_precision(out.get(names.mixer_bias))
        component = type(self.loss).__name__
        expected = (*self.agents, 1)
        require_shape(component, names.mixer_weight, weight, expected, "[*batch, agents, 1]", "Check the mixer.")
        weight, bias, mask = weight.squeeze(-1), bias.squeeze(-1), self.agent_mask
        weight = weight if mask is None else torch.where(mask, weight, 0.0)
        if self.loss.normalizes_mixer:
            return MixerOutput(F.normalized_weight(weight), torch.zeros_like(bias))
        return MixerOutput(weight, bias)

    def mix(self, local: Tensor) -> Tensor:
        """Team values of local ones: ``[*B]`` of ``[*B, N]``, ``[*B, E]`` of ``[*B, N, E]``; no mixer: themselves.

        Args:
            local: Q_i or V_i.
        """
        if not self.loss.has_mixer:
            return local
        per_member = local.ndim > len(self.agents)
        if not self.loss.has_linear_mixer:
            return self._mix_monotonic(local) if per_member else self._mix_monotonic(local.unsqueeze(-1)).squeeze(-1)
        weight, bias = self.mixer_output
        if per_member:
            return (weight.unsqueeze(-1) * local).sum(-2) + bias.unsqueeze(-1)
        return F.mix_linearly(local, weight, bias)

    def _mix_monotonic(self, local: Tensor, *, detach_params: bool = False) -> Tensor:
        """``[*B, E]`` of local values ``[*B, N, E]``, each member mixed by itself."""
        mask = self.agent_mask
        if mask is not None:
            local = torch.where(mask.unsqueeze(-1), local, 0.0)
        members = local.movedim(-1, 0).unsqueeze(-1)  # [E, *B, N, 1]

        def use(network: TensorDictModuleBase, inputs: Any) -> Tensor:
            value_key = network.in_keys[0]
            for key in network.in_keys[1:]:
                value = inputs.get(key)
                inputs.set(key, value.expand(len(members), *value.shape))
            return cast(Tensor, network(inputs.set(value_key, members)).get(network.out_keys[0]))

        return full_precision(self.with_network("mixer_network", use, None, detach_params)).squeeze(-1).movedim(0, -1)

    @memoized
    def agent_weight(self) -> Tensor:
        """dQ_tot / dQ_i at the data's actions ``[*B, N]``, detached: w_i of a linear mixer; no mixer: ones."""
        if not self.loss.has_mixer:
            return torch.ones_like(self.q_min)
        if self.loss.has_linear_mixer:
            return self.mixer_output.weight.detach()

        def total(local: Tensor) -> Tensor:  # detached parameters: the target's, too, pass gradients to values
            return self._mix_monotonic(local.unsqueeze(-1), detach_params=True).sum()

        return torch.func.grad(total)(self.q_min.detach()).detach()

    def weighted(self, local: Tensor) -> Tensor:
        """``w_i x_i``: an agent's part of the team's value, in its unit; no mixer: ``x_i``. No gradient to w.

        Args:
            local: ``[*B, N]``, or with more dimensions behind.
        """
        if not self.loss.has_mixer:
            return local
        weight = self.agent_weight
        return weight.reshape(*weight.shape, *[1] * (local.ndim - weight.ndim)) * local

    # Policy -------------------------------------------------------------------------------

    @memoized
    def policy(self) -> Distribution:
        """Distribution of the policy ``[*B, N]``."""
        return self.distribution("actor_network")

    @memoized
    def log_prob(self) -> Tensor:
        """log pi_i of the data's actions ``[*B, N]``."""
        return self.log_prob_of(self.policy)

    @memoized
    def policy_log_probs(self) -> Tensor:
        """log pi_i of all actions of a discrete team ``[*B, N, K]``."""
        return log_probs(self.policy)

    @memoized
    def policy_action(self) -> Tensor:
        """Action of a deterministic policy ``[*B, N, A]``."""
        action = full_precision(self.run("actor_network").get(self.loss.tensor_keys.action))
        component, key = type(self.loss).__name__, self.loss.tensor_keys.action
        data = self.batch.data.get(key)
        require_shape(component, key, data, action.shape, "the policy's", "Do the data have other action features?")
        return action

    def log_prob_of(self, distribution: Distribution) -> Tensor:
        """Log density of the data's actions under any distribution ``[*B, N]``.

        Args:
            distribution: with batch shape ``[*B, N]``.

        Raises:
            ValueError: the actions do not fit it.
        """
        action, component = self.action, type(self.loss).__name__
        key = self.loss.tensor_keys.action
        if isinstance(distribution, Categorical) and self.batch.checked:
            check_index(component, key, action, distribution.logits.shape[-1], self.agent_mask)
        if distribution.event_shape and action.shape[-1:] != distribution.event_shape:
            raise ValueError(
                f"{component}: {key!r} must have {distribution.event_shape[-1]} features like the policy's actions, "
                f"got {action.shape[-1]}. Build the networks with the data's action size."
            )
        log_prob = full_precision(distribution.log_prob(action))
        hint = "The policy's distribution must have the action features as its event."
        require_shape(component, key, log_prob, self.agents, "[*batch, agents]", hint)
        return log_prob

    # Terms that losses share ----------------------------------------------------------------

    def td_target(self, next_value: Tensor, next_bonus: Tensor | None = None) -> Tensor:
        """``r + gamma (1 - terminated) (V(s') + sum_i bonus_i)``, by the loss's estimator, detached.

        Args:
            next_value: team values of the next step: ``[*B]``, or without a mixer ``[*B, N]``.
            next_bonus: of every agent at the next step ``[*B, N]``, e.g. its entropy, outside of the mixer.
        """
        next_mask, has_mixer = self.next.agent_mask, self.loss.has_mixer
        if next_bonus is not None:
            bonus = next_bonus if next_mask is None else torch.where(next_mask, next_bonus, 0.0)
            next_value = next_value + (bonus.sum(-1) if has_mixer else bonus)
        if not has_mixer and next_mask is not None:  # nobody trains the values of agents that take no part
            next_value = torch.where(next_mask, next_value, 0.0)
        return td_target(self, next_value)

    def td_loss(self, value: Tensor, target: Tensor, where: Tensor | None = None) -> Tensor:
        """``(value - target)^2``, summed over the ensemble, reduced; records ``td_error`` and priorities.

        Args:
            value: team values ``[*B, E]`` or ``[*B, N, E]``.
            target: ``[*B]`` or ``[*B, N]``.
            where: rows or entries with a target.
        """
        error = value - target.unsqueeze(-1)
        size = error.detach().abs().mean(-1)
        self.record("td_error", size, where)
        mask = self._restricted(size, where)
        size = size if mask is None else torch.where(mask, size, 0.0)
        if size.ndim == len(self.agents):
            present = mask.sum(-1).clamp(min=1) if mask is not None else size.shape[-1]
            size = size.sum(-1) / present
        self.priority = size
        squared = error.square()
        if self.loss.value_scale is not None:
            squared = squared / self._value_scale(value, where).square()
        return self.reduce(squared.sum(-1), where)

    def expectile_loss(self, q: Tensor, v: Tensor, expectile: float) -> Tensor:
        """``|expectile - 1(q < v)| (q - v)^2``, reduced; no gradient to q.

        Args:
            q: values of the data's actions, ``[*B]`` or ``[*B, N]``.
            v: their expectile.
            expectile: in (0, 1).
        """
        loss = F.expectile_loss(q.detach() - v, expectile)
        if self.loss.value_scale is not None:
            team = self.target.mix(self.target.q_min).unsqueeze(-1)
            loss = loss / self._value_scale(team, None).squeeze(-1).square()
        return self.reduce(loss)

    def _value_scale(self, value: Tensor, where: Tensor | None) -> Tensor:
        """SVN's mean absolute deviation of each critic's team values ``[E]``."""
        mask = self._restricted(value[..., 0], where)
        return F.mean_absolute_deviation(value.detach(), mask)

    def advantage_weighted_loss(
        self, advantage: Tensor, temperature: float | Tensor, max_weight: float, where: Tensor | None = None
    ) -> Tensor:
        """``-min(exp(A_i / temperature), max_weight) log pi_i(a_i | o_i)``, reduced; the weight is detached.

        Args:
            advantage: of the data's actions ``[*B, N]``.
            temperature: > 0, in the unit of the advantage.
            max_weight: largest weight, > 0.
            where: rows or entries that have one.
        """
        weight = F.clipped_exponential_weight(advantage, temperature, max_weight)
        self.record_weights(weight, advantage, advantage > temperature * math.log(max_weight), where)
        return self.reduce(-weight * self.log_prob, where)

    def record_weights(
        self, weight: Tensor, advantage: Tensor, is_clipped: Tensor, where: Tensor | None = None
    ) -> None:
        """Store the diagnostics ``WEIGHT_METRICS`` of weights of the data's actions.

        Args:
            weight: ``[*B, N]``, >= 0.
            advantage: what the weights were made of, ``[*B, N]``.
            is_clipped: entries whose weight is at its bound.
            where: rows or entries that have one.
        """
        self.record("advantage", advantage, where)
        self.record("clip_fraction", is_clipped.to(weight.dtype), where)
        self.record("effective_sample_size", F.effective_sample_size(weight, self._restricted(weight, where)))


def log_probs(policy: Distribution) -> Tensor:
    """Log probabilities of all actions of a discrete policy ``[*B, N, K]``.

    Args:
        policy: a categorical distribution.

    Examples:
        >>> log_probs(Categorical(logits=torch.zeros(1, 2))).exp()
        tensor([[0.5000, 0.5000]])
    """
    return full_precision(cast(Categorical, policy).logits).log_softmax(-1)
