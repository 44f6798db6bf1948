"""`OfflineTrainer`: TorchRL's `Trainer` without a collector."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torchrl.collectors import BaseCollector
from torchrl.data import ReplayBuffer
from torchrl.objectives.common import LossModule
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.record.loggers import Logger
from torchrl.trainers import LRSchedulerHook, TrainerHookBase

from omiga_torchrl.data.placement import keep_on_device
from omiga_torchrl.errors import require_count
from omiga_torchrl.trainers.collector import NoCollector
from omiga_torchrl.trainers.diagnosis import OnNonFinite
from omiga_torchrl.trainers.hooks import CheckpointHook, NaNGuardHook
from omiga_torchrl.trainers.loop import SteppedTrainer
from omiga_torchrl.trainers.parameter_groups import (
    OptimizerFactory,
    ParameterGroups,
    check_parameter_groups,
    make_optimizer,
)
from omiga_torchrl.trainers.precision import Precision, set_precision
from omiga_torchrl.trainers.schedules import Schedule, make_schedule
from omiga_torchrl.trainers.stepping import CompileMode, StepOptions, make_stepper


class OfflineTrainer(SteppedTrainer):
    """Trains a loss on a replay buffer; a TorchRL `Trainer` whose "frames" are gradient steps.

    Each step samples a batch, sums the ``loss*`` entries, and updates disjoint parameter groups by
    :func:`train_step`: one backward, each group clipped by its own norm, one optimizer. All hook stages of
    :class:`torchrl.trainers.Trainer` work (``register_op``, ``TrainerHookBase.register``) and run at
    each step, except the deprecated ``post_loss``, ``process_loss`` and ``optimizer``.

    Differences from the stock trainer: metrics are averaged between two log lines and read from the
    device only then; logs are bounded, detached, and belong to one trainer; checkpoints hold the
    random states, so that a resumed run equals an uninterrupted one bit for bit (with a replay buffer
    that does not prefetch).

    Keyword Args:
        loss_module: loss whose scalar entries ``loss*`` are minimised.
        replay_buffer: the dataset; sampled once per step, on a GPU if the networks are there and it fits, see
            :func:`omiga_torchrl.data.keep_on_device`.
        parameter_groups: name to parameters; disjoint, and together all trainable ones of the loss.
        total_steps: gradient steps.
        lr: learning rate of all groups, or of each by its name. 5e-4 is OMIGA's.
        lr_schedule: ``"cosine"`` lets the rates fall to zero over ``total_steps``; ``None`` keeps them.
        optimizer: builds the optimizer from PyTorch's parameter groups ``[{"name", "params", "lr"}, ...]``,
            e.g. ``functools.partial(torch.optim.AdamW, weight_decay=0.01)``; ``None``: fused Adam.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.
        target_updater: target-network updater, stepped after each gradient step.
        update_intervals: gradient steps between two updates of a parameter group by its name, and of the
            targets as ``"targets"``, e.g. ``{"actor": 2, "targets": 2}``; others are updated at each step.
        logger: logger from :func:`torchrl.record.loggers.get_logger`.
        log_interval: steps between two log lines.
        progress_bar: show loss, last evaluation return and steps/s (needs tqdm).
        batch_size: transitions per step; ``None`` means the buffer's own.
        hooks: hooks to register, in this order, e.g. an :class:`EvaluationHook`.
        save_dir: folder of checkpoints, of which the two newest are kept; ``None`` keeps none.
        save_interval: steps between two checkpoints.
        keep_checkpoints: how many of the newest to keep; one is to fall back on.
        checkpoint_metadata: plain values stored with each checkpoint (dataset, versions, …).
        nan_check_interval: steps between two checks for non-finite losses, gradients and parameters, see
            :class:`NaNGuardHook`; ``None``: none.
        on_nonfinite: what to do about them: ``"raise"`` (default); ``"skip"`` the update of such a step, with
            a warning (waits for a GPU unless compiled); ``"rollback"`` to the last checkpoint of
            ``save_dir``, and go on from there with other random numbers, three times at most.
        compile: what of the step is a compiled graph: ``"none"``; ``"loss"``; ``"step"``, all of it, from the
            batch to the targets; ``"auto"`` (default), like ``"step"`` if ``total_steps`` earn the time of
            compiling. All give the same numbers up to rounding, and go on from each other's checkpoints.
        precision: ``"highest"`` (default), ``"high"``, ``"medium"``, see
            :func:`torch.set_float32_matmul_precision`, or ``"bf16-mixed"``: networks in bfloat16 autocast.
        seed: seed of torch, numpy and Python, set when the trainer is built.

    Raises:
        ValueError: groups that overlap or do not fit the loss, a number out of its range, an interval of a
            group that is none, a precision that the device lacks, or a step without compiled form.
        TypeError: ``optimizer`` builds no optimizer, or ``target_updater`` is no TargetNetUpdater.

    Examples:
        >>> from torchrl.data import LazyTensorStorage
        >>> from omiga_torchrl.algorithms import make_omiga
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=2, observation_size=3, action_size=1, state_size=4)
        >>> buffer = ReplayBuffer(storage=LazyTensorStorage(64), batch_size=8)
        >>> _ = buffer.extend(spec.fake_batch(64))
        >>> parts = make_omiga(spec)
        >>> trainer = OfflineTrainer(
        ...     loss_module=parts.loss,
        ...     replay_buffer=buffer,
        ...     parameter_groups=parts.parameter_groups,
        ...     target_updater=parts.target_updater,
        ...     total_steps=3,
        ...     progress_bar=False,
        ... )
        >>> trainer.train()
        >>> trainer.step_count
        3
    """

    def __init__(
        self,
        *,
        loss_module: LossModule,
        replay_buffer: ReplayBuffer,
        parameter_groups: ParameterGroups,
        total_steps: int,
        lr: float | Mapping[str, float] = 5e-4,
        lr_schedule: Schedule | None = None,
        optimizer: OptimizerFactory | None = None,
        clip_grad_norm: float | None = 1.0,
        target_updater: TargetNetUpdater | None = None,
        update_intervals: Mapping[str, int] | None = None,
        logger: Logger | None = None,
        log_interval: int = 100,
        progress_bar: bool = True,
        batch_size: int | None = None,
        hooks: Sequence[TrainerHookBase] = (),
        save_dir: str | Path | None = None,
        save_interval: int = 10_000,
        keep_checkpoints: int = 2,
        checkpoint_metadata: Mapping[str, Any] | None = None,
        nan_check_interval: int | None = 100,
        on_nonfinite: OnNonFinite = "raise",
        compile: CompileMode = "auto",
        precision: Precision = "highest",
        seed: int | None = None,
    ) -> None:
        counts = {"log_interval": log_interval, "save_interval": save_interval}
        counts |= {"total_steps": total_steps, "keep_checkpoints": keep_checkpoints}
        require_count("OfflineTrainer", 1, **counts)
        check_parameter_groups(parameter_groups, loss_module)
        if not isinstance(target_updater, TargetNetUpdater | None):
            raise TypeError(
                f"OfflineTrainer: target_updater must be a TargetNetUpdater or None, got "
                f"{type(target_updater).__name__}. Pass e.g. ForeachSoftUpdate(loss, tau=0.005)."
            )
        self._device = next(iter(next(iter(parameter_groups.values())))).device
        set_precision(precision, self._device)
        keep_on_device(replay_buffer, self._device)
        own_optimizer = make_optimizer(parameter_groups, lr, optimizer)
        super().__init__(
            collector=cast(BaseCollector, NoCollector()),
            total_frames=total_steps,
            frame_skip=1,
            optim_steps_per_batch=1,
            loss_module=loss_module,
            optimizer=own_optimizer,
            optimization_stepper=make_stepper(
                compile,
                total_steps,
                own_optimizer,
                StepOptions(
                    *(parameter_groups, clip_grad_norm, target_updater, update_intervals, precision),
                    skip_nonfinite=on_nonfinite == "skip",
                ),
            ),
            replay_buffer=replay_buffer,
            target_net_updater=target_updater,
            batch_size=batch_size,
            logger=logger,
            log_interval=log_interval,
            progress_bar=progress_bar and importlib.util.find_spec("tqdm") is not None,
            seed=seed,
        )
        self._own_state()
        self.metadata = dict(checkpoint_metadata or {})
        if target_updater is not None:
            self.register_module("target_updater", target_updater)
        if lr_schedule is not None:
            LRSchedulerHook(make_schedule(lr_schedule, self.optimizer, total_steps)).register(self)
        self.nan_guard = None
        if nan_check_interval is not None:
            self.nan_guard = NaNGuardHook(nan_check_interval, on_nonfinite)
            self.nan_guard.register(self)
        for hook in hooks:
            hook.register(self)
        if save_dir is not None:
            CheckpointHook(save_dir, save_interval, keep=keep_checkpoints).register(self)

    def set_seed(self) -> None:
        """Seeds torch, numpy and Python with ``seed``."""
        torch.manual_seed(self.seed)
        np.random.seed(self.seed % 2**32)
        random.seed(self.seed)

    def register_op(self, dest: Any, op: Callable[..., Any], **kwargs: Any) -> None:
        """Adds a hook to a stage; see :meth:`torchrl.trainers.Trainer.register_op`.

        Raises:
            ValueError: a stage that TorchRL deprecated and that this trainer never runs.
        """
        if dest in ("post_loss", "process_loss", "optimizer"):
            raise ValueError(
                f"OfflineTrainer: the stage {dest!r} is never run; expected another stage. Use 'post_optim', "
                f"'post_optim_log' (gets the batch), or a subclass of GroupedStepper."
            )
        super().register_op(dest, op, **kwargs)
