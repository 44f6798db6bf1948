"""Named, disjoint groups of a loss's parameters, and the one optimizer that steps them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from omiga_torchrl.errors import unknown_name

ParameterGroups = Mapping[str, Sequence[nn.Parameter]]
OptimizerFactory = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


def make_optimizer(
    parameter_groups: ParameterGroups,
    lr: float | Mapping[str, float],
    factory: OptimizerFactory | None = None,
) -> torch.optim.Optimizer:
    """One optimizer with the groups as its parameter groups.

    Args:
        parameter_groups: name to parameters, disjoint.
        lr: learning rate of all groups, or of each by name; positive and finite.
        factory: from parameter groups in PyTorch's form, ``[{"name", "params", "lr"}, ...]``, to
            the optimizer, e.g. ``functools.partial(torch.optim.AdamW, weight_decay=0.01)``.
            ``None``: Adam with ``fused=True``.

    Raises:
        ValueError: a learning rate that is not positive and finite, or for an unknown group, or a
            group without one.
        TypeError: the factory gives something else than an optimizer.

    Examples:
        >>> group = {"actor": [nn.Parameter(torch.ones(2))]}
        >>> make_optimizer(group, {"actor": 1e-3}).param_groups[0]["lr"]
        0.001
        >>> type(make_optimizer(group, 1e-3, torch.optim.RMSprop)).__name__
        'RMSprop'
    """
    groups = [
        {"name": name, "params": list(parameters), "lr": rate}
        for (name, parameters), rate in zip(
            parameter_groups.items(), _rates(parameter_groups, lr), strict=True
        )
    ]
    optimizer = torch.optim.Adam(groups, fused=True) if factory is None else factory(groups)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"OfflineTrainer: optimizer must build a torch.optim.Optimizer from parameter groups, got "
            f"{type(optimizer).__name__}. Pass a class or a functools.partial of one, e.g. torch.optim.AdamW."
        )
    return optimizer


def _rates(parameter_groups: ParameterGroups, lr: float | Mapping[str, float]) -> list[float]:
    rates = dict(lr) if isinstance(lr, Mapping) else dict.fromkeys(parameter_groups, lr)
    for name in rates:
        if name not in parameter_groups:
            raise unknown_name("OfflineTrainer", "parameter group in lr", name, parameter_groups)
    missing = [name for name in parameter_groups if name not in rates]
    if missing:
        raise ValueError(
            f"OfflineTrainer: lr must have an entry for each parameter group, got none for {missing}. "
            f"Add them, or pass one number for all."
        )
    for name, rate in rates.items():
        if not (rate > 0 and math.isfinite(rate)):
            raise ValueError(
                f"OfflineTrainer: lr of group {name!r} must be positive and finite, got {rate}. "
                f"Pass e.g. lr=5e-4."
            )
    return [rates[name] for name in parameter_groups]


def check_parameter_groups(parameter_groups: ParameterGroups, loss_module: nn.Module) -> None:
    """Raises unless the groups split the trainable parameters of the loss.

    Args:
        parameter_groups: name to parameters.
        loss_module: the loss that they train.

    Raises:
        ValueError: no group, an empty one, two that overlap, a parameter that is not the loss's,
            or a trainable parameter of the loss that is in no group.
    """
    if not parameter_groups:
        raise ValueError("OfflineTrainer: parameter_groups is empty; expected at least one named group.")
    known = loss_module.named_parameters()
    names = {id(parameter): name for name, parameter in known if parameter.requires_grad}
    owner: dict[int, str] = {}
    for group, parameters in parameter_groups.items():
        if not parameters:
            raise ValueError(f"OfflineTrainer: parameter group {group!r} is empty; expected parameters.")
        for parameter in parameters:
            name = names.get(id(parameter))
            if name is None:
                raise ValueError(
                    f"OfflineTrainer: parameter group {group!r} holds a tensor of shape "
                    f"{tuple(parameter.shape)} that is no trainable parameter of "
                    f"{type(loss_module).__name__}. Take the parameters from the loss, e.g. "
                    f"loss.actor_network_params.parameters()."
                )
            if id(parameter) in owner:
                raise ValueError(
                    f"OfflineTrainer: parameter {name!r} is in the groups {owner[id(parameter)]!r} and "
                    f"{group!r}; expected disjoint groups without repeats. Give it to one of them, once."
                )
            owner[id(parameter)] = group
    left = [name for key, name in names.items() if key not in owner]
    if left:
        raise ValueError(
            f"OfflineTrainer: {len(left)} trainable parameters are in no group, the first is {left[0]!r}; "
            f"expected all. Add them to a group or freeze them with requires_grad_(False)."
        )
