"""The stepper whose gradient step is one compiled graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.trainers import OptimizationStepper, Trainer

from omiga_torchrl.trainers.compiled.batches import Signature, batch_leaves, signature
from omiga_torchrl.trainers.compiled.compile import Run, compile_graph
from omiga_torchrl.trainers.compiled.graph import StepGraph, flat_inputs, flat_state, trace_step
from omiga_torchrl.trainers.compiled.pure_step import PureStep
from omiga_torchrl.trainers.parameter_groups import ParameterGroups
from omiga_torchrl.trainers.precision import Precision
from omiga_torchrl.trainers.step import check_update_intervals

_LOG = logging.getLogger(__name__)


class CompiledGraph(NamedTuple):
    """A step's graph and its machine code."""

    graph: StepGraph
    run: Run


class CompiledStepper(OptimizationStepper):
    """Does :func:`omiga_torchrl.trainers.train_step` as one compiled graph, from the batch to the targets.

    The loss and the optimizer stay what they are: the graph changes their tensors in place, so that hooks,
    evaluation and checkpoints see the same as after an eager step, and either goes on where the other ended.
    The first batch, and every one of new shapes, is checked by the loss and costs the time of a compilation;
    inductor keeps the code on disk for the next process. Numbers that the loss keeps as buffers may change
    between steps; other attributes of the loss are read when it is compiled.

    Args:
        parameter_groups: name to parameters.
        clip_grad_norm: largest gradient norm of each group; ``None`` does not clip.
        target_updater: soft or hard update.
        update_intervals: as of :func:`omiga_torchrl.trainers.train_step`.
        precision: as of :class:`omiga_torchrl.trainers.OfflineTrainer`.
        skip_nonfinite: as of :func:`omiga_torchrl.trainers.train_step`, without waiting for the device.
        fallback: does the steps if this one cannot be compiled; ``None``: that is an error.

    Raises:
        ValueError: ``update_intervals`` names no group of these.
    """

    def __init__(
        self,
        parameter_groups: ParameterGroups,
        clip_grad_norm: float | None = 1.0,
        target_updater: TargetNetUpdater | None = None,
        update_intervals: Mapping[str, int] | None = None,
        precision: Precision = "highest",
        skip_nonfinite: bool = False,
        fallback: OptimizationStepper | None = None,
    ) -> None:
        intervals = check_update_intervals(update_intervals, parameter_groups, target_updater)
        self.parameter_groups = {name: list(group) for name, group in parameter_groups.items()}
        self._options: dict[str, Any] = {
            "clip_grad_norm": clip_grad_norm,
            "target_updater": target_updater,
            "update_intervals": intervals,
            "precision": precision,
            "skip_nonfinite": skip_nonfinite,
        }
        self.fallback, self._uses_fallback = fallback, False
        self._graphs: dict[Signature, CompiledGraph] = {}
        self._pure: PureStep | None = None
        self._state: list[Tensor] = []
        self._seen: tuple[Any, ...] = ()

    @property
    def graphs(self) -> list[StepGraph]:
        """The graphs compiled so far."""
        return [compiled.graph for compiled in self._graphs.values()]

    @property
    def compilations(self) -> int:
        """Graphs compiled so far."""
        return len(self._graphs)

    def step(self, trainer: Trainer, sub_batch: TensorDictBase) -> TensorDictBase:
        """One gradient step on ``sub_batch``.

        Args:
            trainer: gives the loss, the optimizer and the number of the step.
            sub_batch: data `[batch_size]`.

        Returns:
            The output of the loss, detached, and ``grad_norm_<group>`` before clipping.

        Raises:
            ValueError: an optimizer or target updater that has no compiled form.
            RuntimeError: the loss cannot be traced or compiled, and there is no ``fallback``.
        """
        pure = self._step_of(trainer)
        leaves = batch_leaves(sub_batch)
        kind = signature(sub_batch, leaves)
        live = self._live(pure)
        compiled = self._graphs.get(kind)
        if compiled is None and not self._uses_fallback:
            compiled = self._compile(pure, sub_batch, kind)
        if compiled is None:
            return cast(OptimizationStepper, self.fallback).step(trainer, sub_batch)
        graph = compiled.graph
        number = trainer._optim_count
        inputs = flat_inputs(pure.inputs(number))
        values = compiled.run([*live, *inputs, *leaves.values(), *graph.draw()])
        pure.count(number)
        names = graph.out_keys
        for key, value in zip(graph.written_keys, values[len(names) :], strict=True):
            sub_batch.set(key, value)
        # The sizes are right by construction.
        return TensorDict._new_unsafe(dict(zip(names, values, strict=False)), batch_size=torch.Size([]))

    def _step_of(self, trainer: Trainer) -> PureStep:
        if self._pure is None or self._pure.loss is not trainer.loss_module:
            optimizer = cast(torch.optim.Optimizer, trainer.optimizer)
            self._pure = PureStep(trainer.loss_module, optimizer, self.parameter_groups, **self._options)
            self._graphs.clear()
        return self._pure

    def _live(self, pure: PureStep) -> list[Tensor]:
        """The tensors that the graph changes: gathered anew if a checkpoint or a cast has replaced some."""
        seen = (pure.optimizer.state, *[tensor.data_ptr() for tensor in pure.known.tensors])
        if len(seen) != len(self._seen) or seen[0] is not self._seen[0] or seen[1:] != self._seen[1:]:
            known = [(value.shape, value.stride(), value.dtype, value.device) for value in self._state]
            self._state, self._seen = flat_state(pure.state()), seen
            if known != [(value.shape, value.stride(), value.dtype, value.device) for value in self._state]:
                self._graphs.clear()  # compiled code trusts them
        return self._state

    def _compile(self, pure: PureStep, batch: TensorDictBase, kind: Signature) -> CompiledGraph | None:
        if self._graphs:
            known, size = [tuple(old[0]) for old in self._graphs], tuple(batch.batch_size)
            _LOG.warning(
                "train: a batch %s of a new kind (known: %s); compiling the step again.", size, known
            )
        began = time.perf_counter()
        _check_inputs(pure.loss, batch)
        try:
            graph = trace_step(pure, batch)
            self._graphs[kind] = CompiledGraph(graph, compile_graph(graph.module, graph.n_state))
        except Exception as error:  # whatever tracing and compiling may raise
            first = (str(error).splitlines() or [""])[0]
            said = f"{type(error).__name__} from {type(pure.loss).__name__}: {first}"
            if self.fallback is None:
                raise RuntimeError(
                    f"OfflineTrainer: compile='step' must have a loss that can be traced and a compiler, got "
                    f"{said}. Use compile='none'."
                ) from error
            _LOG.warning("train: the step cannot be compiled (%s); it is eager.", said)
            self._uses_fallback = True
            return None
        _LOG.info("train: compiled the step in %.1f s.", time.perf_counter() - began)
        return self._graphs[kind]


def _check_inputs(loss: Callable[[TensorDictBase], Any], batch: TensorDictBase) -> None:
    """Lets the loss look at the values of a batch, which it cannot while it is traced."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        loss(batch.copy())
