"""The optimization stepper of TorchRL's `Trainer` that does :func:`train_step`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from tensordict import TensorDictBase
from torchrl.objectives.common import LossModule
from torchrl.trainers import OptimizationStepper, Trainer

from omiga_torchrl.trainers.parameter_groups import ParameterGroups
from omiga_torchrl.trainers.precision import Precision
from omiga_torchrl.trainers.step import BatchLoss, Updater, check_update_intervals, train_step

# Since torch 2.13: each loss has its own limit of compilations, the ninth of a process compiles as the first.
_COMPILE_OPTIONS = inspect.signature(torch.compile).parameters
_ISOLATED: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in _COMPILE_OPTIONS else {}


class GroupedStepper(OptimizationStepper):
    """Does :func:`omiga_torchrl.trainers.train_step` with the trainer's loss and optimizer.

    A subclass with its own ``step`` makes another order of updates.

    Args:
        parameter_groups: name to parameters.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.
        target_updater: target-network updater, stepped after each gradient step.
        update_intervals: steps between two updates of a parameter group or the ``"targets"``, see
            :func:`omiga_torchrl.trainers.train_step`.
        precision: as of :class:`omiga_torchrl.trainers.OfflineTrainer`.
        skip_nonfinite: as of :func:`omiga_torchrl.trainers.train_step`.
        compile_loss: evaluate the loss as one compiled graph, and the rest eagerly.

    Raises:
        ValueError: ``clip_grad_norm`` is not positive, or ``update_intervals`` names no group of these.
    """

    def __init__(
        self,
        parameter_groups: ParameterGroups,
        clip_grad_norm: float | None = 1.0,
        target_updater: Updater | None = None,
        update_intervals: Mapping[str, int] | None = None,
        precision: Precision = "highest",
        skip_nonfinite: bool = False,
        compile_loss: bool = False,
    ) -> None:
        if clip_grad_norm is not None and not clip_grad_norm > 0:
            raise ValueError(
                f"GroupedStepper: clip_grad_norm must be a positive norm or None, got {clip_grad_norm}. "
                f"Pass None to leave gradients as they are."
            )
        self.parameter_groups = {name: list(group) for name, group in parameter_groups.items()}
        self.clip_grad_norm = clip_grad_norm
        self.target_updater = target_updater
        self.update_intervals = check_update_intervals(update_intervals, parameter_groups, target_updater)
        self.precision, self.compile_loss = precision, compile_loss
        self.skip_nonfinite = skip_nonfinite
        self._compiled: Any = None

    def step(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """One gradient step on ``sub_batch``.

        Args:
            trainer: gives the loss, the optimizer and the number of the step.
            sub_batch: data `[batch_size]`.

        Returns:
            The output of the loss, detached, and ``grad_norm_<group>`` before clipping.

        Raises:
            ValueError: the loss has no ``loss*`` entry, or one that is no scalar.
        """
        return train_step(
            self._loss(trainer.loss_module),
            sub_batch,
            cast(torch.optim.Optimizer, trainer.optimizer),
            parameter_groups=self.parameter_groups,
            clip_grad_norm=self.clip_grad_norm,
            target_updater=self.target_updater,
            # Part of the trainer's checkpoints, so that a resumed run goes on in the same rhythm.
            step=trainer._optim_count,
            update_intervals=self.update_intervals,
            precision=self.precision,
            skip_nonfinite=self.skip_nonfinite,
        )

    def _loss(self, loss: LossModule) -> BatchLoss:
        if not self.compile_loss:
            return cast(BatchLoss, loss)
        if self._compiled is None or self._compiled._orig_mod is not loss:
            # The eager loss's random numbers, in its order.
            options: Any = {"fallback_random": True}
            self._compiled = torch.compile(loss, fullgraph=True, dynamic=False, options=options, **_ISOLATED)
        return cast(BatchLoss, self._compiled)
