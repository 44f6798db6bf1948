"""Several runs of one structure whose steps are one graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor, fx

from omiga_torchrl.trainers.compiled.batches import batch_leaves, signature
from omiga_torchrl.trainers.compiled.compile import Run, compile_graph
from omiga_torchrl.trainers.compiled.graph import (
    StepGraph,
    flat_inputs,
    flat_state,
    trace_functional,
    trace_step,
)
from omiga_torchrl.trainers.compiled.merge import lift_numbers, structure_error
from omiga_torchrl.trainers.compiled.optimizers import STATE
from omiga_torchrl.trainers.compiled.pure_step import PureStep

_LOG = logging.getLogger(__name__)


class StackedRuns:
    """The steps of several runs as one compiled graph, mapped over their stacked tensors.

    The tensors of every run, its optimizer's included, become views of the stacked ones, which the graph
    changes in place: each run goes on being evaluated, saved and resumed on its own.

    Args:
        steps: the runs' steps, of one structure; they may differ in their numbers.
        kinds: equal for runs that do not differ in numbers either; these are traced once.

    Raises:
        ValueError: the runs differ in structure.
    """

    def __init__(self, steps: Sequence[PureStep], kinds: Sequence[Hashable]) -> None:
        self.steps, self._kinds = list(steps), list(kinds)
        self._graphs: list[StepGraph] = []
        self._run: Run | None = None
        self._numbers: list[Tensor] = []
        states = [flat_state(step.state()) for step in self.steps]
        shapes = [[(value.shape, value.dtype) for value in state] for state in states]
        for other in shapes[1:]:
            if other != shapes[0]:
                raise structure_error(
                    f"{len(shapes[0])} tensors in one run and {len(other)}, or others, in another"
                )
        self._state = [torch.stack(values) for values in zip(*states, strict=True)]
        for number in range(len(self.steps)):
            self._give(number, [value[number] for value in self._state])
        self._seen = [step.optimizer.state for step in self.steps]

    def release(self, number: int) -> None:
        """Gives a run memory of its own, which later steps no longer change.

        Args:
            number: of the run.
        """
        self._give(number, [value[number].clone() for value in self._state])

    def reload(self, number: int) -> None:
        """Takes what a checkpoint has put into a run.

        Args:
            number: of the run.
        """
        step = self.steps[number]
        for value, own in zip(self._state, flat_state(step.state()), strict=True):
            value[number].copy_(own)
        self._give(number, [value[number] for value in self._state])
        self._seen[number] = step.optimizer.state

    def step(
        self, batches: Sequence[TensorDictBase], numbers: Sequence[int], noise: Sequence[list[Tensor]]
    ) -> list[TensorDictBase]:
        """One step of every run.

        Args:
            batches: of every run.
            numbers: the runs' numbers of this step, from 1.
            noise: of every run, see :meth:`draw`.

        Returns:
            The output of every run's loss, see :class:`PureStep`.

        Raises:
            RuntimeError: a checkpoint has been loaded into a run since.
        """
        if any(step.optimizer.state is not seen for step, seen in zip(self.steps, self._seen, strict=True)):
            raise RuntimeError(
                "vectorize: a run must be loaded before the runs train together, got a checkpoint loaded "
                "since. Load it, then add the run to a new group."
            )
        graph = self._graphs[0]
        inputs = [flat_inputs(step.inputs(number)) for step, number in zip(self.steps, numbers, strict=True)]
        leaves = [batch_leaves(batch) for batch in batches]
        rows = [
            [*one, *(entries[key] for key in graph.batch_keys), *drawn]
            for one, entries, drawn in zip(inputs, leaves, noise, strict=True)
        ]
        assert self._run is not None
        values = self._run(
            [*self._state, *(torch.stack(row) for row in zip(*rows, strict=True)), *self._numbers]
        )
        for step, number in zip(self.steps, numbers, strict=True):
            step.count(number)
        split = [value.unbind() for value in values]
        out = []
        for k, batch in enumerate(batches):
            own = [value[k] for value in split]
            for key, value in zip(graph.written_keys, own[len(graph.out_keys) :], strict=True):
                batch.set(key, value)
            named = dict(zip(graph.out_keys, own, strict=False))
            out.append(TensorDict._new_unsafe(named, batch_size=torch.Size([])))
        return out

    def draw(self, number: int) -> list[Tensor]:
        """The noise of a run's next step, from torch's global generator.

        Args:
            number: of the run.
        """
        return self._graphs[number].draw()

    def compile(self, batches: Sequence[TensorDictBase]) -> None:
        """Compiles the steps for batches like these.

        Args:
            batches: one of every run.

        Raises:
            ValueError: batches of different shapes, or steps of different structure.
        """
        kinds = {signature(batch, batch_leaves(batch)) for batch in batches}
        if len(kinds) > 1:
            raise ValueError(
                f"vectorize: the batches of all runs must have the same entries and shapes, got {len(kinds)} "
                f"kinds. Use one dataset, batch size and slice length, or vectorize=false."
            )
        began = time.perf_counter()
        known: dict[Hashable, StepGraph] = {}
        for step, batch, kind in zip(self.steps, batches, self._kinds, strict=True):
            if kind not in known:
                known[kind] = trace_step(step, batch)
        self._graphs = [known[kind] for kind in self._kinds]
        first = self._graphs[0]
        plain = [graph.module.graph for graph in known.values()]
        numbers = lift_numbers(plain[0], plain[1:])
        places_of = {kind: i for i, kind in enumerate(known)}
        row = torch.tensor([places_of[kind] for kind in self._kinds])
        self._numbers = [values[row.to(values.device)] for values in numbers]
        _use_mapped_operations(first.module.graph)
        first.module.recompile()
        places = [node.meta["val"] for node in first.module.graph.nodes if node.op == "placeholder"]
        runs = len(self.steps)
        example = [
            torch.empty((runs, *place.shape), dtype=place.dtype, device=place.device) for place in places
        ]
        stacked = trace_functional(torch.func.vmap(first.module), example)
        self._run = compile_graph(stacked, first.n_state)
        _LOG.info("train: compiled the step of %d runs in %.1f s.", runs, time.perf_counter() - began)

    def _give(self, number: int, values: Sequence[Tensor]) -> None:
        step, rows = self.steps[number], iter(values)
        for tensor in step.known.tensors:
            tensor.data = next(rows)
        for parameter in step.parameters:
            state = step.optimizer.state[parameter]
            for name in STATE:
                state[name] = next(rows)


def _use_mapped_operations(graph: fx.Graph) -> None:
    """Casts by the operation that ``vmap`` knows."""
    for node in graph.nodes:
        if node.target is torch.ops.prims.convert_element_type.default:
            value, dtype = node.args
            node.target, node.args, node.kwargs = torch.ops.aten._to_copy.default, (value,), {"dtype": dtype}
