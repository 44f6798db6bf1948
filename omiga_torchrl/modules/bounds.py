"""Bounds of continuous actions: one range for all features, or one for each."""

from __future__ import annotations

import torch
from tensordict import NestedKey
from tensordict.nn import (
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    TensorDictModule,
    TensorDictModuleBase,
)
from torch import Tensor, nn
from torch.distributions import Distribution

from omiga_torchrl import keys
from omiga_torchrl.modules.distributions import TanhGaussian
from omiga_torchrl.specs import ActionBound

Bound = float | Tensor
"""A bound of all features of all agents, or of each ``[N, A]`` or ``[A]``."""


class ActionBounds(nn.Module):
    """Lower and upper bounds of every feature of every agent's action, which move with the module.

    A feature without a range is one that the agent does not have: padding up to the size of others.

    Args:
        low: a number, or numbers ``[N, A]`` or ``[A]``.
        high: the same.

    Attributes:
        low: the lower bounds; a number, where all features have the same and none is padding.
        high: the upper bounds, likewise.

    Examples:
        >>> import torch
        >>> ActionBounds(torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])).high
        1.0
        >>> ActionBounds(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0])).high
        tensor([1., 0.])
    """

    low: Bound
    high: Bound

    def __init__(self, low: Bound | ActionBound, high: Bound | ActionBound) -> None:
        super().__init__()
        register_bounds(self, low, high)

    def forward(self, loc: Tensor) -> tuple[Tensor, Tensor]:
        """The bounds with the shape of ``loc [*B, N, A]``."""
        bounds = (b if isinstance(b, Tensor) else loc.new_tensor(b) for b in (self.low, self.high))
        low, high = (bound.expand_as(loc) for bound in bounds)
        return low, high


def register_bounds(module: nn.Module, low: Bound | ActionBound, high: Bound | ActionBound) -> None:
    """Give a module ``low`` and ``high``: numbers where all features have the same, or else buffers.

    Args:
        module: the module.
        low: lower bounds, as numbers, tuples or tensors.
        high: upper bounds.
    """
    bounds = [torch.as_tensor(bound, dtype=torch.float64) for bound in (low, high)]
    is_uniform = all(bound.unique().numel() == 1 for bound in bounds)
    for name, bound in zip(("low", "high"), torch.broadcast_tensors(*bounds), strict=True):
        if is_uniform:
            setattr(module, name, bound.flatten()[0].item())
        else:
            module.register_buffer(name, bound.to(torch.get_default_dtype()), persistent=False)


def with_bounds(
    network: TensorDictModuleBase,
    bounds: ActionBounds,
    *,
    action: NestedKey = keys.ACTION,
    return_log_prob: bool = False,
    distribution: type[Distribution] = TanhGaussian,
) -> ProbabilisticTensorDictSequential:
    """A policy that samples actions inside bounds.

    Args:
        network: writes ``loc`` and ``scale`` beside the action.
        bounds: of the actions.

    Keyword Args:
        action: key written.
        return_log_prob: also write ``action_log_prob`` beside the action.
        distribution: of ``loc``, ``scale``, ``low`` and ``high``.
    """
    loc, scale, low, high = (keys.sibling_key(action, name) for name in ("loc", "scale", "low", "high"))
    inputs = {"loc": loc, "scale": scale}
    parts: list[TensorDictModuleBase] = [network]
    fixed: dict[str, float] = {}
    if isinstance(bounds.low, float) and isinstance(bounds.high, float):
        fixed = {"low": bounds.low, "high": bounds.high}
    else:
        inputs |= {"low": low, "high": high}
        parts.append(TensorDictModule(bounds, in_keys=[loc], out_keys=[low, high]))
    sampler = ProbabilisticTensorDictModule(
        in_keys=inputs,
        out_keys=[action],
        distribution_class=distribution,
        distribution_kwargs=fixed,
        return_log_prob=return_log_prob,
        log_prob_key=keys.sibling_key(action, "action_log_prob"),
    )
    return ProbabilisticTensorDictSequential(*parts, sampler)
