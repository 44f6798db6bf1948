"""Choices among finitely many actions, some of them illegal or unsupported by the data."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from omiga_torchrl.shapes import Bool, Float


class BestAction(NamedTuple):
    """The best of finitely many actions.

    Attributes:
        value: its value, ``[*batch]``.
        action: which it is, ``[*batch]``, integers.
    """

    value: Tensor
    action: Tensor


def action_index(action: Tensor, agents: torch.Size) -> Tensor:
    """Integer actions ``[*B, N]`` from ``[*B, N]``, ``[*B, N, 1]`` or one-hot ``[*B, N, K]``.

    Args:
        action: integer or boolean actions.
        agents: the shape ``[*B, N]``.

    Raises:
        ValueError: the shape is none of these.

    Examples:
        >>> import torch
        >>> action_index(torch.tensor([[[0, 1], [1, 0]]]), torch.Size([1, 2]))
        tensor([[1, 0]])
    """
    if action.shape == agents:
        return action.long()
    if action.shape[:-1] == agents:
        return action.squeeze(-1).long() if action.shape[-1] == 1 else action.long().argmax(-1)
    raise ValueError(
        "action_index: discrete actions must have the shape [*batch, agents], [*batch, agents, 1] or "
        f"one-hot [*batch, agents, K] with [*batch, agents] = {tuple(agents)}, got {tuple(action.shape)}."
    )


def supported_actions(
    log_prob: Float[Tensor, "*batch actions"],
    threshold: float,
    legal: Bool[Tensor, "*#batch actions"] | None = None,
) -> Bool[Tensor, "*batch actions"]:
    """``{a legal: mu(a) / max_legal mu >= threshold}``, discrete BCQ's actions (arXiv:1910.01708).

    At least one action of every row that has a legal one; none of a row that has none.

    Args:
        log_prob: log mu of every action under the behaviour policy, up to a constant a row.
        threshold: in [0, 1]; 0 allows all legal actions, 1 the most likely only.
        legal: legal actions; all if None. The others change nothing, NaN included.

    Examples:
        >>> import torch
        >>> supported_actions(torch.tensor([0.6, 0.3, 0.1]).log(), 0.3)
        tensor([ True,  True, False])
    """
    if legal is not None:
        log_prob = log_prob.masked_fill(~legal, -torch.inf)
    largest = log_prob.amax(-1, keepdim=True)
    floor = math.log(threshold) if threshold > 0 else -math.inf
    # The largest itself: -inf - (-inf) is NaN where the model gives no legal action any mass.
    supported = (log_prob - largest >= floor) | (log_prob == largest)
    return supported if legal is None else supported & legal


def best_value(
    value: Float[Tensor, "*batch actions"], allowed: Bool[Tensor, "*#batch actions"]
) -> BestAction:
    """``max_a Q(a)`` over the allowed actions, and which it is.

    Other actions change neither value nor gradient, NaN included. A row that allows none gives
    value 0 and action 0.

    Args:
        value: Q of every action, in units of return.
        allowed: actions to choose from.

    Examples:
        >>> import torch
        >>> best_value(torch.tensor([1.0, 5.0, 2.0]), torch.tensor([True, False, True]))
        BestAction(value=tensor(2.), action=tensor(2))
    """
    action = torch.where(allowed, value.detach(), -torch.inf).argmax(-1)
    # Which of equal entries argmax returns is not promised on every device.
    action = torch.where(allowed.any(-1), action, 0)
    chosen = torch.where(allowed, value, 0.0).gather(-1, action.unsqueeze(-1)).squeeze(-1)
    return BestAction(chosen, action)


def expected_value(
    value: Float[Tensor, "*batch actions"],
    probability: Float[Tensor, "*batch actions"],
    legal: Bool[Tensor, "*#batch actions"] | None = None,
) -> Float[Tensor, "*batch"]:
    """``sum_a pi(a) Q(a)`` over the legal actions.

    Args:
        value: Q of every action, in units of return.
        probability: pi of every action; its sum over legal actions is 1.
        legal: legal actions; all if None. The others change nothing, NaN included.

    Examples:
        >>> import torch
        >>> expected_value(torch.tensor([1.0, 3.0]), torch.tensor([0.25, 0.75]))
        tensor(2.5000)
    """
    if legal is not None:
        value, probability = torch.where(legal, value, 0.0), torch.where(legal, probability, 0.0)
    return (value * probability).sum(-1)
