"""Values of candidate actions: sampled ones, all of them, or joint ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from omiga_torchrl.gathering import pad_last
from omiga_torchrl.objectives.sampled_actions import SampledActions
from omiga_torchrl.objectives.view import TeamView


@dataclass
class ActionValues:
    """Values of the C candidate actions of every agent that a penalty runs over.

    Attributes:
        q: Q_i, ``[*B, N, E, C]``.
        log_importance_weight: log volume that each action stands for, ``[*B, N, 1, C]``; None for 1 each.
        action_mask: actions that count, ``[*B, N, 1, C]``; None for all.
        sampled: the actions where they are samples of a continuous team.
        parts: of a mixed team, the values of the agents of each kind, in the order of ``TeamView.parts``.
    """

    q: Tensor
    log_importance_weight: Tensor | None = None
    action_mask: Tensor | None = None
    sampled: SampledActions | None = None
    parts: tuple[ActionValues, ...] = ()


def sampled_action_values(
    batch: TeamView, sampled: SampledActions, *, importance_sampling: bool
) -> ActionValues:
    """Values of sampled actions of a continuous team.

    Args:
        batch: the batch.
        sampled: the actions, detached.

    Keyword Args:
        importance_sampling: each stands for the inverse of its density, not for 1.
    """
    q = batch.q_at(sampled.action).movedim(0, -1)
    log_weight = -sampled.log_prob.movedim(0, -1).unsqueeze(-2) if importance_sampling else None
    return ActionValues(q, log_weight, sampled=sampled)


def all_action_values(batch: TeamView) -> ActionValues:
    """Values of all actions of a discrete team, of which the legal ones count.

    Args:
        batch: the batch.
    """
    mask = batch.action_mask
    return ActionValues(
        batch.q_values.transpose(-1, -2), action_mask=None if mask is None else mask.unsqueeze(-2)
    )


def joint_action_values(batch: TeamView, samples: int, *, importance_sampling: bool) -> ActionValues:
    """Values of joint actions of a discrete team, uniform among the legal ones.

    Args:
        batch: the batch.
        samples: their number C.

    Keyword Args:
        importance_sampling: each agent's action stands for the number of its legal actions, not for 1.
    """
    q_values, mask = batch.q_values, batch.action_mask  # [*B, N, K, E]
    agents_and_actions = q_values.shape[:-1]
    score = torch.rand((samples, *agents_and_actions), dtype=q_values.dtype, device=q_values.device)
    if mask is None:
        mask = torch.ones(agents_and_actions, dtype=torch.bool, device=q_values.device)
    action = score.masked_fill(~mask, -1.0).argmax(-1).movedim(0, -1)
    q = q_values.take_along_dim(action.unsqueeze(-1), -2).transpose(-1, -2)
    if not importance_sampling:
        return ActionValues(q)
    log_weight = mask.sum(-1).clamp(min=1).to(q.dtype).log()
    return ActionValues(q, log_weight[..., None, None].expand(*action.shape[:-1], 1, samples))


def gather_values(batch: TeamView, compute: Callable[[TeamView], ActionValues]) -> ActionValues:
    """Values of the candidates of all agents; of a mixed team, whose numbers differ, filled up and masked.

    Args:
        batch: the batch.
        compute: the values of agents of one kind of actions.
    """
    parts = tuple(compute(part) for part in batch.parts)
    if len(parts) == 1:
        return parts[0]
    size = max(part.q.shape[-1] for part in parts)

    def filled_up(values: ActionValues) -> tuple[Tensor, Tensor, Tensor]:
        mask = torch.ones_like(values.q[..., :1, :], dtype=torch.bool)
        mask = mask if values.action_mask is None else values.action_mask
        log_weight = values.log_importance_weight
        log_weight = torch.zeros_like(mask, dtype=values.q.dtype) if log_weight is None else log_weight
        return pad_last(values.q, size), pad_last(log_weight, size), pad_last(mask, size, False)

    q, log_weight, mask = (batch.join(one) for one in zip(*map(filled_up, parts), strict=True))
    return ActionValues(q, log_weight, mask, parts=parts)
