"""Sequences of one episode each: which steps have a successor, which have a target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Steps:
    """What a loss along sequences knows of every step, each ``[*B, T]``.

    Attributes:
        reward: reward of the team.
        terminated: whether the episode ended in the task's sense.
        valid: steps under the loss mask.
        bootstraps: valid steps whose target reads their successor in the sequence.
        known: steps with a target: they bootstrap, or are terminated.
        broken: steps after which their sequence should have ended, but goes on.
    """

    reward: Tensor
    terminated: Tensor
    valid: Tensor
    bootstraps: Tensor
    known: Tensor
    broken: Tensor

    @classmethod
    def of(cls, reward: Tensor, terminated: Tensor, done: Tensor, mask: Tensor | None) -> Steps:
        """The facts of sequences ``[*B, T]``; ``mask`` is True at their real steps."""
        valid = torch.ones_like(done) if mask is None else mask
        valid = valid.reshape(*valid.shape, *[1] * (done.ndim - valid.ndim)).expand_as(done)
        ended = done | terminated
        last = torch.zeros_like(valid[..., -1:])
        succeeded = valid & torch.cat([valid[..., 1:], last], -1)
        bootstraps = succeeded & ~ended
        known = bootstraps | (valid & terminated)
        return cls(reward, terminated, valid, bootstraps, known, succeeded & ended)

    @property
    def cut(self) -> Tensor:
        """Steps at which a lambda return ends: their successor has no target of its own."""
        return ~(self.bootstraps & next_step(self.known))


def next_step(x: Tensor) -> Tensor:
    """``x [*B, T]`` one step later; the last step keeps its own.

    Examples:
        >>> next_step(torch.tensor([1, 2, 3]))
        tensor([2, 3, 3])
    """
    return torch.cat([x[..., 1:], x[..., -1:]], -1)
