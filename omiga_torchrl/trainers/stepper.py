"""One backward and one fused Adam over disjoint parameter groups, each with its own clipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.trainers import OptimizationStepper, Trainer

from omiga_torchrl.errors import unknown_name

LOSS_PREFIX = "loss"
GRAD_NORM_PREFIX = "grad_norm"

ParameterGroups = Mapping[str, Sequence[nn.Parameter]]


class GroupedStepper(OptimizationStepper):
    """Minimises the sum of all ``loss*`` entries, clipping each parameter group by its own norm.

    With disjoint groups, one backward over the sum and one optimiser give exactly what one
    backward and one optimiser per term would give, at a fraction of the cost. Nothing here waits
    for the device.

    Args:
        parameter_groups: name to parameters.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.

    Examples:
        >>> weight = nn.Parameter(torch.ones(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> GroupedStepper({"qvalue": [weight]}, clip_grad_norm=1.0).clip()["grad_norm_qvalue"]
        tensor(5.)
        >>> weight.grad
        tensor([0.6000, 0.8000])
    """

    def __init__(self, parameter_groups: ParameterGroups, clip_grad_norm: float | None = 1.0) -> None:
        if clip_grad_norm is not None and clip_grad_norm <= 0:
            raise ValueError(
                f"GroupedStepper: clip_grad_norm={clip_grad_norm}; expected a positive norm or None."
            )
        self.parameter_groups = {name: list(group) for name, group in parameter_groups.items()}
        self.clip_grad_norm = clip_grad_norm

    def step(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """One gradient step on ``sub_batch``.

        Args:
            trainer: gives the loss and the optimiser.
            sub_batch: data `[batch_size]`.

        Returns:
            The output of the loss, detached, and ``grad_norm_<group>`` before clipping.

        Raises:
            ValueError: the loss has no ``loss*`` entry, or one that is no scalar.
        """
        losses = cast(TensorDictBase, trainer.compute_loss(sub_batch))
        optimizer = cast(torch.optim.Optimizer, trainer.optimizer)
        total_loss(losses).backward()
        # Detached: a kept entry with its graph would leak 50 KB a step.
        metrics = losses.detach()
        for name, norm in self.clip().items():
            metrics.set(name, norm)
        optimizer.step()
        optimizer.zero_grad()
        return metrics

    @torch.no_grad()
    def clip(self) -> dict[str, Tensor]:
        """Clips the gradients in place; returns each group's norm before clipping."""
        norms = {}
        for name, parameters in self.parameter_groups.items():
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if not gradients:
                continue
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            norms[f"{GRAD_NORM_PREFIX}_{name}"] = norm
            if self.clip_grad_norm is not None:
                torch._foreach_mul_(gradients, (self.clip_grad_norm / (norm + 1e-6)).clamp(max=1.0))
        return norms


def total_loss(losses: TensorDictBase) -> Tensor:
    """The sum of the entries whose name starts with ``loss``.

    Args:
        losses: output of a loss module.

    Raises:
        ValueError: there is no such entry, or one is no scalar.

    Examples:
        >>> from tensordict import TensorDict
        >>> total_loss(TensorDict({"loss_a": torch.tensor(1.0), "loss_b": torch.tensor(2.0)}))
        tensor(3.)
    """
    total: Tensor | None = None
    for name, value in losses.items():
        if not name.startswith(LOSS_PREFIX):
            continue
        if value.ndim:
            raise ValueError(
                f"OfflineTrainer: {name!r} of the loss has shape {tuple(value.shape)}; expected a scalar. "
                f"Build the loss with reduction='mean'."
            )
        total = value if total is None else total + value
    if total is None:
        raise ValueError(
            f"OfflineTrainer: the loss gave {', '.join(map(str, losses.keys()))}; expected an entry "
            f"'loss*'. Name the terms of the loss 'loss_<term>'."
        )
    return total


def make_optimizer(
    parameter_groups: ParameterGroups, lr: float | Mapping[str, float]
) -> torch.optim.Optimizer:
    """One fused Adam with the groups as its parameter groups.

    Args:
        parameter_groups: name to parameters, disjoint.
        lr: learning rate of all groups, or of each by name.

    Raises:
        ValueError: a learning rate for an unknown group, or a group without one.

    Examples:
        >>> group = {"actor": [nn.Parameter(torch.ones(2))]}
        >>> make_optimizer(group, {"actor": 1e-3}).param_groups[0]["lr"]
        0.001
    """
    rates = dict(lr) if isinstance(lr, Mapping) else dict.fromkeys(parameter_groups, lr)
    for name in rates:
        if name not in parameter_groups:
            raise unknown_name("OfflineTrainer", "parameter group in lr", name, parameter_groups)
    missing = [name for name in parameter_groups if name not in rates]
    if missing:
        raise ValueError(
            f"OfflineTrainer: lr has no entry for {missing}; expected one for each parameter group."
        )
    groups = [
        {"name": name, "params": list(parameters), "lr": rates[name]}
        for name, parameters in parameter_groups.items()
    ]
    return torch.optim.Adam(groups, fused=True)


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
