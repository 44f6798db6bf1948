"""A step traced into one graph of ATen operations, for one run or for several stacked ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import NestedKey, TensorDictBase
from torch import Tensor, fx
from torch._inductor.decomposition import select_decomp_table
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from omiga_torchrl.trainers.compiled.batches import batch_leaves
from omiga_torchrl.trainers.compiled.pure_step import PureStep
from omiga_torchrl.trainers.compiled.randomness import Draw, lift_random
from omiga_torchrl.trainers.compiled.state import StepInputs, StepState


class StepGraph:
    """A step as one graph of tensors, made by :func:`trace_step`.

    Attributes:
        module: from the flat inputs (state, inputs, batch, noise) to the flat next state and the outputs.
        draws: how to draw the noise, in order.
        n_state: tensors of the state, the first inputs and the first outputs.
        n_inputs: tensors of :class:`StepInputs`, which come next.
        batch_keys: entries of the batch, which come next; the noise comes last.
        out_keys: entries of the output, which follow the next state.
        written_keys: entries that the loss writes to the batch, which follow those.
    """

    def __init__(
        self,
        module: fx.GraphModule,
        draws: Sequence[Draw],
        n_state: int,
        n_inputs: int,
        batch_keys: Sequence[NestedKey],
        out_keys: Sequence[NestedKey],
        written_keys: Sequence[NestedKey],
    ) -> None:
        self.module, self.draws = module, list(draws)
        self.n_state, self.n_inputs = n_state, n_inputs
        self.batch_keys, self.out_keys = list(batch_keys), list(out_keys)
        self.written_keys = list(written_keys)

    def draw(self, generator: torch.Generator | None = None) -> list[Tensor]:
        """The noise of a step, in the order in which the eager step draws it.

        Args:
            generator: its source; ``None`` is torch's global one.
        """
        return [draw(generator) for draw in self.draws]


def flat_state(state: StepState) -> list[Tensor]:
    """The tensors of a state, in one list."""
    return [*state.tensors, *(value for moments in state.moments for value in moments)]


def flat_inputs(inputs: StepInputs) -> list[Tensor]:
    """The tensors of the inputs, in one list."""
    return [*inputs.lr, *inputs.due.values(), inputs.sync]


def trace_step(step: PureStep, batch: TensorDictBase) -> StepGraph:
    """The graph of a step on batches like ``batch``.

    Args:
        step: the step.
        batch: gives shapes and dtypes; not changed.

    Examples:
        >>> from omiga_torchrl.algorithms import make_td3_bc
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=2, observation_size=3, action_size=1, state_size=4)
        >>> parts = make_td3_bc(spec)
        >>> optimizer = torch.optim.Adam(parts.loss.parameters())
        >>> step = PureStep(parts.loss, optimizer, parts.parameter_groups)
        >>> graph = trace_step(step, spec.fake_batch(8))
        >>> [noise.shape for noise in graph.draw()]  # of the target policy
        [torch.Size([8, 2, 1])]
    """
    state, inputs, leaves = step.state(), step.inputs(1), batch_leaves(batch)
    keys = list(leaves)
    names: dict[str, list[NestedKey]] = {}
    structure = pytree.tree_structure((state, inputs))
    count = len(keys)

    def flat_step(*tensors: Tensor) -> list[Tensor]:
        state, inputs = pytree.tree_unflatten(list(tensors[:-count]), structure)
        data = batch.copy()
        given = dict(zip(keys, tensors[-count:], strict=True))
        for key, value in given.items():
            data.set(key, value)
        following, out = step(state, data, inputs)
        names["out"] = [key for key, value in out.items() if isinstance(value, Tensor)]
        written = {
            key: value.detach() for key, value in _tensors(data).items() if value is not given.get(key)
        }
        names["written"] = list(written)
        return [*flat_state(following), *(out.get(key) for key in names["out"]), *written.values()]

    # One tensor given twice, e.g. as two equal learning rates, would be traced as one input.
    given = [value.clone() for value in (*flat_inputs(inputs), *leaves.values())]
    flat = [*flat_state(state), *given]
    traced = make_fx(flat_step, tracing_mode="fake", _allow_non_fake_inputs=True)(*flat)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    pure = trace_functional(traced, flat)
    draws = lift_random(pure.graph)
    pure.graph.eliminate_dead_code()
    pure.recompile()
    return StepGraph(
        pure, draws, len(flat_state(state)), len(flat_inputs(inputs)), keys, names["out"], names["written"]
    )


def _tensors(data: TensorDictBase) -> dict[NestedKey, Tensor]:
    """By keys of the form of :func:`batch_leaves`."""
    leaves = ((key, value) for key, value in data.items(True, True) if isinstance(value, Tensor))
    return {key if isinstance(key, tuple) else (key,): value for key, value in leaves}


def trace_functional(function: Any, example: Sequence[Tensor]) -> fx.GraphModule:
    """A graph without mutations, in the operations that inductor knows."""
    functional = torch.func.functionalize(function, remove="mutations")
    with torch.no_grad():
        module = make_fx(functional, decomposition_table=select_decomp_table(), tracing_mode="fake")(*example)
    _drop_copies(module.graph)
    module.recompile()
    return module


def _drop_copies(graph: fx.Graph) -> None:
    """Replaces ``copy(old, new)``, what a mutation leaves behind, by ``new``."""
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.copy.default:
            old, new = (argument.meta["val"] for argument in node.args[:2])
            if (old.shape, old.dtype) == (new.shape, new.dtype):
                node.replace_all_uses_with(node.args[1])
                graph.erase_node(node)
