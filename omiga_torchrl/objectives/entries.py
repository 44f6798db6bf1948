"""`BatchView`: the entries of a batch at one step, and reductions over those that count."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl.errors import require_shape
from omiga_torchrl.keys import next_key
from omiga_torchrl.objectives.batch import TeamBatch
from omiga_torchrl.objectives.diagnostics import masked_mean
from omiga_torchrl.objectives.rewards import read_reward
from omiga_torchrl.objectives.sequences import Steps, require_sequences

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss


class BatchView:
    """The entries of a batch at one step, and reductions over those that count.

    Args:
        loss: gives keys and reduction.
        batch: the entries, see :func:`omiga_torchrl.objectives.batch.read_batch`.

    Keyword Args:
        at_next: read the next step.

    Attributes:
        metrics: diagnostics recorded by the terms so far.
        priority: TD error of every row ``[*B]``, once a TD loss has been evaluated.
    """

    def __init__(self, loss: TeamLoss, batch: TeamBatch, *, at_next: bool = False) -> None:
        self.loss, self.batch = loss, batch
        self._at_next = at_next
        self.metrics: dict[NestedKey, Tensor] = {}
        self.priority: Tensor | None = None

    @property
    def is_discrete(self) -> bool:
        """True if these agents have discrete actions.

        Raises:
            ValueError: some of them have, and others continuous ones: see :attr:`TeamView.parts`.
        """
        if self.batch.kind == "mixed":
            raise ValueError(
                f"{type(self.loss).__name__}: a team with continuous and discrete actions has no kind of its "
                "own. Evaluate the term for each of batch.parts, with batch.gather(...)."
            )
        return self.batch.kind == "discrete"

    # Entries of the data --------------------------------------------------------------------

    @property
    def data(self) -> TensorDictBase:
        """Entries of this view's step."""
        return self.batch.data.get("next") if self._at_next else self.batch.data

    def _entry(self, key: NestedKey) -> Tensor | None:
        data = self.data
        return cast("Tensor | None", data.get(key, None))

    @property
    def action(self) -> Tensor:
        """Actions of the data: ``[*B, N, A]``, or integers ``[*B, N]``."""
        return cast(Tensor, self.data.get(self.loss.tensor_keys.action))

    @property
    def action_mask(self) -> Tensor | None:
        """Legal actions ``[*B, N, K]``; None if all are."""
        return self._entry(self.loss.tensor_keys.action_mask)

    @property
    def agent_mask(self) -> Tensor | None:
        """Agents that take part ``[*B, N]``; None if all do."""
        return self._entry(self.loss.tensor_keys.agent_mask)

    @property
    def mask(self) -> Tensor | None:
        """Rows ``[*B]`` that have terms; None if all have."""
        return self.batch.mask

    @property
    def agents(self) -> torch.Size:
        """The shape ``[*B, N]``."""
        return cast(Tensor, self.data.get(self.loss.tensor_keys.observation)).shape[:-1]

    def team_entry(self, key: NestedKey) -> Tensor:
        """An entry ``[*B, 1]`` of the team, as ``[*B]``.

        Args:
            key: its key, with ``"next"`` if it is there.

        Raises:
            ValueError: it has another shape, e.g. one value an agent.
        """
        value = self.batch.data.get(key)
        size = self.batch.size
        hint = (
            "It looks like one value per agent: reduce it to the team's with mean or sum over agents."
            if value.shape != size
            else "Did you forget unsqueeze(-1)?"
        )
        require_shape(type(self.loss).__name__, key, value, (*size, 1), "[*batch, 1]", hint)
        return cast(Tensor, value.squeeze(-1))

    @property
    def reward(self) -> Tensor:
        """Reward of the team ``[*B]``, or with another ``reward_of`` of every agent ``[*B, N]``."""
        return read_reward(self)

    @property
    def terminated(self) -> Tensor:
        """True where the episode ended in the task's sense ``[*B]``."""
        return self.team_entry(next_key(self.loss.tensor_keys.terminated))

    @property
    def done(self) -> Tensor:
        """True where the episode ended for whatever reason ``[*B]``."""
        return self.team_entry(next_key(self.loss.tensor_keys.done))

    @property
    def steps_to_next_obs(self) -> Tensor | None:
        """Steps ``[*B]`` that rewards sum up; None for one."""
        steps = self.batch.data.get(self.loss.tensor_keys.steps_to_next_obs, None)
        return None if steps is None else steps.reshape(self.batch.size)

    @property
    def steps(self) -> Steps:
        """Steps of a batch of sequences ``[*B, T]``: which have a successor, which a target.

        Raises:
            ValueError: the batch is no sequences.
        """
        require_sequences(type(self.loss).__name__, self.loss.tensor_keys.done, self.done, trailing=0)
        return Steps.of(self.terminated, self.done, self.mask)

    # Reduction ----------------------------------------------------------------------------

    def mask_for(self, x: Tensor) -> Tensor | None:
        """Entries of ``x`` that have terms: rows ``[*B]``, or agents that take part in them ``[*B, N]``.

        Args:
            x: a loss or value of one of these shapes.
        """
        rows = self.batch.mask
        if x.ndim < len(self.agents):
            return rows
        present = self.agent_mask
        if rows is None:
            return present
        rows = rows.unsqueeze(-1).expand(self.agents)
        return rows if present is None else rows & present

    def reduce(self, elementwise: Tensor, where: Tensor | None = None) -> Tensor:
        """The loss, by the loss's reduction, over the entries that count, with their importance weights.

        Args:
            elementwise: of rows ``[*B]`` or agents ``[*B, N]``.
            where: further restriction, of the same shape or ``[*B]``.
        """
        mask = self.restrict(elementwise, where)
        weight = self.batch.weight
        if mask is not None:
            elementwise = torch.where(mask, elementwise, 0.0)
        if weight is not None:
            weight = weight.to(elementwise.dtype)
            weight = weight.reshape(*weight.shape, *[1] * (elementwise.ndim - weight.ndim)).expand_as(
                elementwise
            )
            elementwise = weight * elementwise
        if self.loss.reduction == "none":
            return elementwise
        if self.loss.reduction == "sum":
            return elementwise.sum()
        if mask is None and weight is None:
            return elementwise.mean()
        if weight is None:
            return elementwise.sum() / cast(Tensor, mask).sum().clamp(min=1)
        weight = weight if mask is None else torch.where(mask, weight, 0.0)
        return elementwise.sum() / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)

    def masked_mean(self, x: Tensor, where: Tensor | None = None) -> Tensor:
        """Mean over the entries that count, detached and without importance weights.

        Args:
            x: of rows ``[*B]`` or agents ``[*B, N]``.
            where: further restriction.
        """
        return masked_mean(x.detach(), self.restrict(x, where))

    def restrict(self, x: Tensor, where: Tensor | None = None) -> Tensor | None:
        """Entries of ``x`` that have terms, see :meth:`mask_for`, and lie in ``where``.

        Args:
            x: a loss or value ``[*B]`` or ``[*B, N]``.
            where: of the same shape, or rows ``[*B]``.
        """
        mask = self.mask_for(x)
        if where is None:
            return mask
        where = where.reshape(*where.shape, *[1] * (x.ndim - where.ndim)).expand_as(x)
        return where if mask is None else mask & where

    def record(self, name: NestedKey, value: Tensor, where: Tensor | None = None) -> None:
        """Store a diagnostic, named in the loss's ``metrics`` or one that all losses share.

        Args:
            name: its name.
            value: a scalar, or values ``[*B]`` or ``[*B, N]`` whose mean it is.
            where: further restriction.
        """
        self.metrics[name] = value.detach() if value.ndim == 0 else self.masked_mean(value, where)

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
        self.record("effective_sample_size", F.effective_sample_size(weight, self.restrict(weight, where)))

    def record_td_error(self, size: Tensor, where: Tensor | None = None) -> None:
        """Store the diagnostic ``td_error`` and the priority of every row, its mean over agents.

        Args:
            size: absolute TD errors ``[*B]`` or ``[*B, N]``.
            where: rows or entries with a target.
        """
        self.record("td_error", size, where)
        mask = self.restrict(size, where)
        size = size if mask is None else torch.where(mask, size, 0.0)
        if size.ndim == len(self.agents):
            size = size.mean(-1) if mask is None else size.sum(-1) / mask.sum(-1).clamp(min=1)
        self.priority = size
