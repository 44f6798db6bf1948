"""Adam and AdamW as equations, with the settings and the state of a PyTorch optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

STATE = ("exp_avg", "exp_avg_sq", "step")  # names of a parameter's state in PyTorch's Adam


class AdamSettings(NamedTuple):
    """Settings of a parameter group; the learning rate is an input of the step.

    Attributes:
        beta1: decay of the mean gradient, in [0, 1).
        beta2: decay of the mean squared gradient, in [0, 1).
        eps: added to the root of the second, > 0.
        weight_decay: of parameters, >= 0.
        decoupled: True for AdamW, whose weight decay is not part of the gradient.
    """

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    decoupled: bool


class AdamMoments(NamedTuple):
    """A parameter's state: mean gradient, mean squared gradient, steps so far (float32 scalar)."""

    exp_avg: Tensor
    exp_avg_sq: Tensor
    step: Tensor


def adam_update(
    parameter: Tensor, gradient: Tensor, moments: AdamMoments, lr: Tensor, settings: AdamSettings
) -> tuple[Tensor, AdamMoments]:
    """One step of Adam (arXiv:1412.6980, algorithm 1) or AdamW (arXiv:1711.05101, algorithm 2).

    Args:
        parameter: of any shape.
        gradient: of the same shape.
        moments: its state.
        lr: learning rate, a float64 scalar.
        settings: of its group.

    Returns:
        The next parameter and the next state.

    Examples:
        >>> zero = torch.zeros(1)
        >>> moments = AdamMoments(zero, zero, torch.tensor(0.0))
        >>> settings = AdamSettings(0.9, 0.999, 1e-8, 0.0, False)
        >>> lr = torch.tensor(0.5, dtype=torch.float64)
        >>> parameter, moments = adam_update(torch.ones(1), torch.full((1,), 3.0), moments, lr, settings)
        >>> parameter, moments.step  # the first step is as long as the learning rate
        (tensor([0.5000]), tensor(1.))
    """
    beta1, beta2, eps, decay, decoupled = settings
    if decay and decoupled:
        parameter = parameter * (1 - lr * decay)
    elif decay:
        gradient = gradient + decay * parameter
    step = moments.step + 1
    mean = moments.exp_avg + (1 - beta1) * (gradient - moments.exp_avg)
    square = beta2 * moments.exp_avg_sq + (1 - beta2) * gradient * gradient
    size = lr / (1 - beta1 ** step.double())
    root = square.sqrt() / (1 - beta2 ** step.double()).sqrt() + eps
    return parameter - size * (mean / root), AdamMoments(mean, square, step)


def read_settings(optimizer: torch.optim.Optimizer) -> dict[int, tuple[int, AdamSettings]]:
    """For the ``id`` of every parameter: the number of its group, and its settings.

    Args:
        optimizer: Adam or AdamW.

    Raises:
        ValueError: another optimizer, or an option that :func:`adam_update` does not know.

    Examples:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> read_settings(torch.optim.Adam([weight]))[id(weight)][1].beta1
        0.9
    """
    kind = type(optimizer)
    if kind not in (torch.optim.Adam, torch.optim.AdamW):
        raise ValueError(
            f"OfflineTrainer: compile='step' must have Adam or AdamW, got {kind.__name__}. "
            f"Use compile='loss', which compiles the loss only, or one of these optimizers."
        )
    settings = {}
    for number, group in enumerate(optimizer.param_groups):
        for option in ("amsgrad", "maximize"):
            if group[option]:
                raise ValueError(
                    f"OfflineTrainer: compile='step' must have {kind.__name__} with {option}=False, got "
                    f"True. Use compile='loss', which compiles the loss only."
                )
        decoupled = bool(group.get("decoupled_weight_decay", kind is torch.optim.AdamW))
        beta1, beta2 = map(float, group["betas"])
        own = AdamSettings(beta1, beta2, group["eps"], group["weight_decay"], decoupled)
        settings.update({id(parameter): (number, own) for parameter in group["params"]})
    return settings


def optimizer_state(optimizer: torch.optim.Optimizer, parameter: Tensor) -> AdamMoments:
    """The live state of a parameter; the one before the first step if it has none.

    Args:
        optimizer: Adam or AdamW.
        parameter: one of its parameters.
    """
    state: dict[str, Any] = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    return AdamMoments(*(state[name] for name in STATE))
