"""One gradient step, written out: loss, backward, clipping, optimizer, adaptive coefficients, targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl.errors import require_count, unknown_name
from omiga_torchrl.trainers.diagnosis import all_finite
from omiga_torchrl.trainers.parameter_groups import ParameterGroups
from omiga_torchrl.trainers.precision import Precision, autocast

LOSS_PREFIX = "loss"
GRAD_NORM_PREFIX = "grad_norm"
TARGETS = "targets"


class BatchLoss(Protocol):
    """A loss: a module or a function from a batch to a TensorDict with scalar entries ``loss*``."""

    def __call__(self, tensordict: TensorDictBase, /) -> TensorDictBase:
        """The terms and diagnostics of a batch."""


@runtime_checkable
class AdaptiveLoss(Protocol):
    """A loss with coefficients that adapt from step to step, such as a Lagrange multiplier.

    Its forward pass changes nothing: the output holds the next value of each coefficient, and
    :meth:`advance` stores it. Whoever steps the optimizer calls it once per gradient step.
    """

    def advance(self, losses: TensorDictBase) -> None:
        """Stores the next values of the coefficients.

        Args:
            losses: the loss's own output of this gradient step, detached.
        """


class Updater(Protocol):
    """Something that is stepped after each gradient step, such as a ``TargetNetUpdater``."""

    def step(self) -> None:
        """Moves the target networks once."""


def train_step(
    loss: BatchLoss,
    batch: TensorDictBase,
    optimizer: torch.optim.Optimizer,
    *,
    parameter_groups: ParameterGroups,
    clip_grad_norm: float | None = 1.0,
    target_updater: Updater | None = None,
    step: int = 1,
    update_intervals: Mapping[str, int] | None = None,
    precision: Precision = "highest",
    skip_nonfinite: bool = False,
) -> TensorDictBase:
    """One gradient step on a batch; what :class:`omiga_torchrl.trainers.OfflineTrainer` does at each.

    With disjoint groups, one backward over the sum of all terms and one optimizer give exactly what
    one of each per term would give, at a fraction of the cost. Nothing here waits for the device, unless
    ``skip_nonfinite`` does.

    Args:
        loss: from a batch to a TensorDict whose scalar entries ``loss*`` are minimised. If it has a
            method ``advance`` (see :class:`AdaptiveLoss`), that is called with the detached output
            after the optimizer's step.
        batch: data `[*batch_size]`.
        optimizer: of the parameters in ``parameter_groups``.
        parameter_groups: name to parameters, disjoint; each is clipped by its own norm.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.
        target_updater: target-network updater, stepped last.
        step: number of this step, from 1; decides with ``update_intervals`` what is due.
        update_intervals: steps between two updates of a parameter group by its name, and of the targets as
            ``"targets"``, >= 1; ``None`` and what is not named is updated at each step. The optimizer gets
            no gradient of a group that is not due, so that its state stays as it is, too.
        precision: ``"bf16-mixed"`` evaluates the networks in bfloat16; others are the process's, see
            :func:`torch.set_float32_matmul_precision`.
        skip_nonfinite: leave parameters, optimizer and adaptive coefficients as they are if a loss or a
            gradient norm is NaN or infinite; targets are moved all the same. Waits once for the device.

    Returns:
        The output of the loss, detached, and ``grad_norm_<group>`` before clipping, also of groups that
        are not due.

    Raises:
        ValueError: the loss has no ``loss*`` entry, or one that is no scalar; ``update_intervals`` names
            no group of these, or targets without ``target_updater``, or an interval below one.

    Examples:
        >>> from tensordict import TensorDict
        >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = torch.optim.SGD([weight], lr=1.0)
        >>> def loss(batch):
        ...     return TensorDict({"loss_norm": (batch["x"] * weight).sum()})
        >>> batch = TensorDict({"x": torch.tensor([3.0, 4.0])})
        >>> out = train_step(loss, batch, optimizer, parameter_groups={"weight": [weight]})
        >>> out["loss_norm"], out["grad_norm_weight"], weight.data
        (tensor(25.), tensor(5.), tensor([2.4000, 3.2000]))
    """
    intervals = check_update_intervals(update_intervals, parameter_groups, target_updater)
    waiting = [name for name, interval in intervals.items() if step % interval]
    with autocast(_device_of(parameter_groups), precision):
        losses = loss(batch)
    total_loss(losses).backward()
    # Detached: a kept entry with its graph would leak 50 KB a step.
    out = losses.detach()
    norms = clip_gradients(parameter_groups, clip_grad_norm)
    for name in waiting:
        for parameter in parameter_groups.get(name, ()):
            parameter.grad = None
    healthy = not skip_nonfinite or bool(all_finite(finite_terms(out, norms)))
    if healthy:
        optimizer.step()
    optimizer.zero_grad()
    if healthy and isinstance(loss, AdaptiveLoss):
        loss.advance(out)
    if target_updater is not None and TARGETS not in waiting:
        target_updater.step()
    return out.update(norms)


def _device_of(parameter_groups: ParameterGroups) -> torch.device:
    return next(parameter for group in parameter_groups.values() for parameter in group).device


def check_update_intervals(
    update_intervals: Mapping[str, int] | None,
    parameter_groups: ParameterGroups,
    target_updater: Updater | None,
) -> dict[str, int]:
    """The intervals of what is not updated at each step, after checking that all of it exists.

    Args:
        update_intervals: parameter group or ``"targets"`` to steps between two updates; ``None`` has none.
        parameter_groups: name to parameters.
        target_updater: target-network updater, if there is one.

    Raises:
        ValueError: an unknown name, with the nearest one, or an interval below one.

    Examples:
        >>> check_update_intervals({"actr": 2}, {"actor": []}, None)
        Traceback (most recent call last):
            ...
        ValueError: train_step: unknown name in update_intervals 'actr'; did you mean 'actor'? Choose ...
    """
    intervals = dict(update_intervals or {})
    known = [*parameter_groups] if target_updater is None else [*parameter_groups, TARGETS]
    for name, interval in intervals.items():
        if name not in known:
            raise unknown_name("train_step", "name in update_intervals", name, known)
        require_count("train_step", 1, **{f"update_intervals[{name!r}]": interval})
    return intervals


@torch.no_grad()
def clip_gradients(parameter_groups: ParameterGroups, max_norm: float | None) -> dict[str, Tensor]:
    """Clip the gradients of each group in place, by the group's own norm.

    Args:
        parameter_groups: name to parameters; groups without any gradient are left out.
        max_norm: largest norm; ``None`` only measures.

    Returns:
        ``grad_norm_<group>``: each group's norm before clipping, a scalar.

    Examples:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> weight.grad = torch.tensor([3.0, 4.0])
        >>> clip_gradients({"qvalue": [weight]}, max_norm=1.0)
        {'grad_norm_qvalue': tensor(5.)}
        >>> weight.grad
        tensor([0.6000, 0.8000])
    """
    norms = {}
    for name, parameters in parameter_groups.items():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            continue
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        norms[f"{GRAD_NORM_PREFIX}_{name}"] = norm
        if max_norm is not None:
            torch._foreach_mul_(gradients, clipping_scale(norm, max_norm))
    return norms


def clipping_scale(norm: Tensor, max_norm: float) -> Tensor:
    """``min(max_norm / (norm + 1e-6), 1)``, what gradients of this norm are multiplied by.

    Args:
        norm: of a group's gradients, a scalar.
        max_norm: largest norm, > 0.

    Examples:
        >>> clipping_scale(torch.tensor(4.0), 1.0)
        tensor(0.2500)
    """
    return (max_norm / (norm + 1e-6)).clamp(max=1.0)


def finite_terms(losses: TensorDictBase, norms: Mapping[str, Tensor]) -> list[Tensor]:
    """Numbers that have to be finite for a step to be taken: the terms ``loss*`` and the gradient norms.

    Args:
        losses: output of a loss module.
        norms: of :func:`clip_gradients`.
    """
    return [*(value for name, value in losses.items() if name.startswith(LOSS_PREFIX)), *norms.values()]


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
