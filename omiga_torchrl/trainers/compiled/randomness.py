"""Random draws of a traced step as inputs of its graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

Draw = Callable[[torch.Generator | None], Tensor]

aten = torch.ops.aten
_UNIFORM = {aten.rand.default, aten.rand_like.default}
_NORMAL = {aten.randn.default, aten.randn_like.default}
_INTEGER = {aten.randint.default, aten.randint.low}
_FILLED = {  # values in place of the first argument's
    aten.normal_functional.default: "normal_",
    aten.uniform.default: "uniform_",
    aten.exponential.default: "exponential_",
}


def lift_random(graph: fx.Graph) -> list[Draw]:
    """Replaces the random draws of a graph by new inputs, and tells how to draw them.

    In the order of the graph, which is that of the eager step, the draws give the same numbers as it.

    Args:
        graph: of ATen operations, without mutations; changed in place.

    Returns:
        For each new input, which come last: a function from a generator, ``None`` for the global one, to it.

    Raises:
        NotImplementedError: a draw depends on computed values, e.g. ``torch.multinomial``.

    Examples:
        >>> from torch.fx.experimental.proxy_tensor import make_fx
        >>> traced = make_fx(lambda x: x + torch.rand(3))(torch.zeros(3))
        >>> [draw] = lift_random(traced.graph)
        >>> _ = traced.recompile()
        >>> traced(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]))
        tensor([1., 2., 3.])
        >>> draw(torch.Generator().manual_seed(0)).shape
        torch.Size([3])
    """
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    after, draws = inputs[-1], []
    for node in list(graph.nodes):
        if not _is_random(node):
            continue
        draws.append(_draw(node))
        with graph.inserting_after(after):
            after = graph.placeholder(f"noise_{len(draws)}")
        after.meta = dict(node.meta)
        _use(graph, node, after)
    return draws


def _is_random(node: fx.Node) -> bool:
    tags = getattr(node.target, "tags", ())
    return node.op == "call_function" and torch.Tag.nondeterministic_seeded in tags


def _use(graph: fx.Graph, node: fx.Node, noise: fx.Node) -> None:
    """Puts ``noise`` where ``node`` was."""
    value: Any = noise
    if node.target is aten.normal.Tensor_Tensor:  # N(mean, std), which is made of N(0, 1)
        mean, std = node.args[:2]
        with graph.inserting_before(node):
            scaled = graph.call_function(aten.mul.Tensor, (noise, std))
            value = graph.call_function(aten.add.Tensor, (scaled, mean))
        scaled.meta, value.meta = dict(node.meta), dict(node.meta)
    node.replace_all_uses_with(value)
    graph.erase_node(node)


def _draw(node: fx.Node) -> Draw:
    example, target = node.meta["val"], node.target
    like = {"dtype": example.dtype, "device": example.device}
    size = tuple(map(int, example.shape))
    if target in _UNIFORM:
        return partial(_call, torch.rand, (size,), like)
    if target in _NORMAL or target is aten.normal.Tensor_Tensor:
        return partial(_call, torch.randn, (size,), like)
    if target in _INTEGER:
        bounds = node.args[:-1] if target is aten.randint.low else (0, *node.args[:-1])
        return partial(_call, torch.randint, (*bounds, size), like)
    if target is aten.randperm.default:
        return partial(_call, torch.randperm, size, like)
    if target in _FILLED:
        return partial(_fill, _FILLED[target], node.args[1:], size, like)
    raise NotImplementedError(
        f"compile='step': the loss must draw its random numbers independently of computed values, got "
        f"{target}. Use compile='loss', or draw by torch.rand or torch.randn and compute from that."
    )


def _call(function: Any, args: tuple[Any, ...], like: Any, generator: torch.Generator | None) -> Tensor:
    drawn: Tensor = function(*args, generator=generator, **like)
    return drawn


def _fill(
    name: str, args: tuple[Any, ...], size: tuple[int, ...], like: Any, generator: torch.Generator | None
) -> Tensor:
    drawn: Tensor = getattr(torch.empty(size, **like), name)(*args, generator=generator)
    return drawn
