"""`TeamView`: a batch as the terms of a loss read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.gathering import join_kinds, select_kind
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.objectives.batch import TeamBatch
from omiga_torchrl.objectives.mixing import (
    MixerOutput,
    agent_weight,
    mix_linear,
    mix_monotonic,
    read_mixer_output,
)
from omiga_torchrl.objectives.targets import td_target
from omiga_torchrl.objectives.values import ValueView, memoized

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss


class TeamView(ValueView):
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
        self._place = self._at_next, self._is_target, self.has_grad
        self._views = {self._place: self}
        self._whole: TeamView | None = None
        self._parts: tuple[TeamView, ...] = ()

    @classmethod
    def of(cls, loss: TeamLoss, batch: TeamBatch) -> TeamView:
        """The view of a batch at this step, of the online networks, with those of its parts."""
        view = cls(loss, batch)
        view._parts = tuple(cls(loss, part) for part in batch.parts.values())
        for part in view._parts:
            part._whole, part.metrics = view, view.metrics
        return view

    # Agents of each kind of actions -------------------------------------------------------

    @property
    def parts(self) -> tuple[TeamView, ...]:
        """Views of the agents of each kind of actions; of a team of one kind, this view."""
        return tuple(part._elsewhere(*self._place) for part in self._parts) or (self,)

    @property
    def continuous(self) -> TeamView:
        """The view of the agents with continuous actions; of a team of one kind, this view."""
        return self.parts[0]

    def gather(self, compute: Callable[[TeamView], Tensor]) -> Tensor:
        """A local quantity of all agents ``[*B, N, ...]`` in their order, computed for each of :attr:`parts`.

        Args:
            compute: of the view of agents of one kind, their ``[*B, n, ...]``.
        """
        return self.join([compute(part) for part in self.parts])

    def gather_all(self, compute: Callable[[TeamView], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Several local quantities at once, see :meth:`gather`.

        Args:
            compute: of the view of agents of one kind, ``[*B, n, ...]`` each.
        """
        values = [compute(part) for part in self.parts]
        return tuple(self.join(one) for one in zip(*values, strict=True))

    def join(self, values: Sequence[Tensor]) -> Tensor:
        """Local quantities ``[*B, n, ...]`` of each of :attr:`parts` as those of all agents ``[*B, N, ...]``.

        Args:
            values: in the order of ``parts``.
        """
        if len(values) == 1:
            return values[0]
        return join_kinds(cast(GroupedTeamSpec, self.loss.groups), *values, dim=len(self.agents) - 1)

    # The same batch elsewhere -------------------------------------------------------------

    def _elsewhere(self, at_next: bool, is_target: bool, with_grad: bool) -> TeamView:
        place = (at_next, is_target, with_grad)
        if place not in self._views:
            view = TeamView(
                *(self.loss, self.batch), at_next=at_next, is_target=is_target, with_grad=with_grad
            )
            view._views, view._parts, view._whole = self._views, self._parts, self._whole
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
    def online(self) -> TeamView:
        """The online networks at the same step, with gradient at this one."""
        return self._elsewhere(self._at_next, False, not self._at_next)

    @property
    def target(self) -> TeamView:
        """The target networks, without gradient; where a network has none, its online parameters."""
        return self._elsewhere(self._at_next, True, False)

    # Mixing -------------------------------------------------------------------------------

    @memoized
    def q_tot(self) -> Tensor:
        """Team value of the data's action, ``[*B, E]``; without a mixer ``[*B, N, E]``."""
        return self.mix(self.q)

    @memoized
    def v_tot(self) -> Tensor:
        """Team value of V_i, ``[*B]``; without a mixer ``[*B, N]``."""
        return self.mix(self.v)

    @memoized
    def mixer_output(self) -> MixerOutput:
        """Weights and bias of a linear mixer."""
        return read_mixer_output(self)

    def mix(self, local: Tensor) -> Tensor:
        """Team values ``[*B]`` of ``[*B, N]``, or ``[*B, E]`` of ``[*B, N, E]``; no mixer: the local ones.

        Args:
            local: Q_i or V_i.
        """
        if not self.loss.has_mixer:
            return local
        return mix_linear(self, local) if self.loss.has_linear_mixer else mix_monotonic(self, local)

    @memoized
    def agent_weight(self) -> Tensor:
        """dQ_tot / dQ_i at the data's actions ``[*B, N]``, detached; ones without a mixer."""
        if self._whole is None:
            return agent_weight(self)
        whole = self._whole._elsewhere(*self._place).agent_weight
        return select_kind(cast(GroupedTeamSpec, self.loss.groups), whole, self.batch.kind, -1)

    def weighted(self, local: Tensor) -> Tensor:
        """``w_i x_i``: an agent's part of the team's value, in its unit; no mixer: ``x_i``. No gradient to w.

        Args:
            local: ``[*B, N]``, or with more dimensions behind.
        """
        if not self.loss.has_mixer:
            return local
        weight = self.agent_weight
        return weight.reshape(*weight.shape, *[1] * (local.ndim - weight.ndim)) * local

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
        self.record_td_error(error.detach().abs().mean(-1), where)
        squared = error.square()
        if self.loss.value_scale is not None:
            squared = squared / self.value_scale(value, where).square()
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
            team = self.target.mix(self.target.q_min)
            loss = loss / self.value_scale(team.unsqueeze(-1)).square()
        return self.reduce(loss)

    def value_scale(self, value: Tensor, where: Tensor | None = None) -> Tensor:
        """SVN's scale: mean absolute deviation of each critic's team values over the batch ``[E]``, detached.

        Args:
            value: team values ``[*B, E]`` or ``[*B, N, E]``.
            where: rows or entries that count.
        """
        return F.mean_absolute_deviation(value, self.restrict(value[..., 0], where))

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
