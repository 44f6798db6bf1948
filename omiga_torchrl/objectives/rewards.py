"""Rewards of the team, of every group or of every agent, as targets read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from omiga_torchrl.errors import require_key, require_shape
from omiga_torchrl.keys import next_key

if TYPE_CHECKING:
    from omiga_torchrl.objectives.base import TeamLoss
    from omiga_torchrl.objectives.entries import BatchView

RewardOf = Literal["team", "group", "agent"]


def check_reward_of(loss: TeamLoss) -> None:
    """Raise a ValueError if values of the whole team are to learn rewards of single agents or groups.

    Args:
        loss: a loss with its networks.
    """
    if loss.reward_of != "team" and loss.has_mixer:
        raise ValueError(
            f"{type(loss).__name__}: reward_of must be 'team' with a mixer, which learns one value of the "
            f"team, got {loss.reward_of!r}. Use mixer='none' for independent critics, or the team's reward."
        )


def read_reward(view: BatchView) -> Tensor:
    """Reward of the step in the dtype of the observations: the team's ``[*B]``, or of agents ``[*B, N]``.

    With ``reward_of="group"`` it is the mean reward of those agents of the group that take part.

    Args:
        view: the batch.

    Raises:
        KeyError: there is no reward of every agent.
        ValueError: a reward has another shape.
    """
    loss, names = view.loss, view.loss.tensor_keys
    dtype = view.batch.data.get(names.observation).dtype
    if loss.reward_of == "team":
        return view.team_entry(next_key(names.reward)).to(dtype)
    key, component = next_key(names.agent_reward), type(loss).__name__
    hint = "Record it with keep_agent_rewards, or use reward_of='team'."
    reward = require_key(component, view.batch.data, key, hint)
    require_shape(component, key, reward, (*view.agents, 1), "[*batch, agents, 1]", "One reward an agent.")
    reward = reward.squeeze(-1).to(dtype)
    return cast(Tensor, reward if loss.reward_of == "agent" else _mean_of_groups(view, reward))


def _mean_of_groups(view: BatchView, reward: Tensor) -> Tensor:
    groups, mask = view.loss.groups, view.agent_mask
    mask = torch.ones_like(reward, dtype=torch.bool) if mask is None else mask
    parts = []
    for first, last in groups.spans.values() if groups is not None else [(0, reward.shape[-1])]:
        own, present = reward[..., first:last], mask[..., first:last]
        total = torch.where(present, own, 0.0).sum(-1, keepdim=True)
        parts.append((total / present.sum(-1, keepdim=True).clamp(min=1)).expand_as(own))
    return torch.cat(parts, -1)


def agents_first(x: Tensor, team: Tensor) -> Tensor:
    """``x`` with its agents in front, so that time stays last; a quantity of the team as it is.

    Args:
        x: ``[*B, N]`` or ``[*B]``.
        team: any quantity of the team ``[*B]``.
    """
    return x.movedim(-1, 0) if x.ndim > team.ndim else x
