"""Sequences of one episode each: which steps have a successor, which have a target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from tensordict import NestedKey, TensorDict, TensorDictBase
from torch import Tensor


@dataclass
class Steps:
    """Flags of every step of a batch of sequences, each ``[*B, T]``.

    Attributes:
        terminated: whether the episode ended in the task's sense.
        valid: steps under the loss mask.
        bootstraps: valid steps whose target reads their successor in the sequence.
        known: steps with a target: they bootstrap, or are terminated.
        present: which agents take part, ``[*B, T, N]``, if the data tell.
    """

    terminated: Tensor
    valid: Tensor
    bootstraps: Tensor
    known: Tensor
    present: Tensor | None = None

    @classmethod
    def of(
        cls,
        terminated: Tensor,
        done: Tensor,
        mask: Tensor | None,
        present: Tensor | None = None,
    ) -> Steps:
        """The facts of sequences ``[*B, T]``; ``mask`` is True at their real steps."""
        valid = torch.ones_like(done) if mask is None else mask
        valid = valid.reshape(*valid.shape, *[1] * (done.ndim - valid.ndim)).expand_as(done)
        ended = done | terminated
        last = torch.zeros_like(valid[..., -1:])
        succeeded = valid & torch.cat([valid[..., 1:], last], -1)
        bootstraps = succeeded & ~ended
        known = bootstraps | (valid & terminated)
        return cls(terminated, valid, bootstraps, known, present)

    def entries(self, steps: Tensor, like: Tensor) -> Tensor:
        """The entries of ``like [*B, T, N]`` at ``steps [*B, T]`` of agents that take part."""
        wide = steps.unsqueeze(-1).expand_as(like)
        return wide if self.present is None else wide & self.present

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
    return next_step_of(x, dim=-1)


def next_step_of(x: Tensor, *, dim: int) -> Tensor:
    """``x`` one step later; the last step keeps its own.

    Args:
        x: values of sequences.

    Keyword Args:
        dim: dimension of time, e.g. -3 for actions ``[*B, T, N, A]``.
    """
    steps = x.shape[dim]
    return torch.cat([x.narrow(dim, 1, steps - 1), x.narrow(dim, steps - 1, 1)], dim)


def prev_actions(action: Tensor, time: int) -> Tensor:
    """The action before each step of sequences; before the first -1 (discrete) or 0 (continuous).

    Args:
        action: actions with time at dimension ``time``.
        time: that dimension.

    Examples:
        >>> prev_actions(torch.tensor([[[3], [1], [2]]]), time=1).squeeze(-1)
        tensor([[-1,  3,  1]])
    """
    none = torch.full_like(action.narrow(time, 0, 1), 0 if action.dtype.is_floating_point else -1)
    return torch.cat([none, action.narrow(time, 0, action.shape[time] - 1)], time)


def with_first_step(
    inputs: TensorDictBase, following: TensorDictBase, names: Iterable[NestedKey], time: int
) -> TensorDictBase:
    """The entries ``names`` of a sequence's first step and then of all steps that follow, ``T + 1`` in all.

    A memory that starts at the second step of a sequence has not seen the first.

    Args:
        inputs: the sequences' root entries.
        following: their entries under ``"next"``.
        names: entries wanted.
        time: dimension of time.
    """
    out = TensorDict({}, [])
    for name in names:
        out.set(name, torch.cat([inputs.get(name).narrow(time, 0, 1), following.get(name)], time))
    return out


def require_sequences(component: str, key: NestedKey, value: Tensor, trailing: int) -> None:
    """Raises a ValueError if ``value`` has fewer than two batch dimensions.

    Args:
        component: name of the asking class.
        key: the entry's name.
        value: the entry.
        trailing: its dimensions that are no batch dimensions.
    """
    if value.ndim < trailing + 2:
        raise ValueError(
            f"{component}: {key!r} has shape {tuple(value.shape)}; expected sequences [*batch, time, ...]. "
            "Sample with StepSliceSampler(slice_len=T) and reshape the batch to [-1, T] "
            "(recipes: algorithm.slice_len=T)."
        )


def require_one_episode(component: str, done: Tensor, mask: Tensor | None) -> None:
    """Raises a ValueError where a sequence goes on after its end.

    Args:
        component: name of the asking class.
        done: whether an episode ended with a step, ``[*B, T]``.
        mask: True at real steps, ``[*B, T]``, or None.
    """
    if torch.compiler.is_compiling():
        return
    goes_on = done[..., :-1] if mask is None else done[..., :-1] & mask[..., 1:] & mask[..., :-1]
    if goes_on.any():
        raise ValueError(
            f"{component}: a sequence goes on after a step that is done; expected one "
            "episode a sequence. Mark padding as False in ('collector', 'mask'), as "
            "StepSliceSampler does."
        )
