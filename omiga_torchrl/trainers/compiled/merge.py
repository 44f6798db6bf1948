"""Graphs of runs that differ in numbers only, as one graph with these numbers as inputs."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

aten = torch.ops.aten

# An operation with a number, and the same with a tensor in its place.
_WITH_TENSOR: dict[Any, Any] = {
    aten.pow.Tensor_Scalar: aten.pow.Tensor_Tensor,
    aten.lt.Scalar: aten.lt.Tensor,
    aten.le.Scalar: aten.le.Tensor,
    aten.gt.Scalar: aten.gt.Tensor,
    aten.ge.Scalar: aten.ge.Tensor,
    aten.mul.Scalar: aten.mul.Tensor,
    aten.add.Scalar: aten.add.Tensor,
    aten.sub.Scalar: aten.sub.Tensor,
    aten.div.Scalar: aten.div.Tensor,
    aten.clamp_min.default: aten.clamp_min.Tensor,
    aten.clamp_max.default: aten.clamp_max.Tensor,
    aten.mul.Tensor: aten.mul.Tensor,
    aten.add.Tensor: aten.add.Tensor,
    aten.sub.Tensor: aten.sub.Tensor,
    aten.div.Tensor: aten.div.Tensor,
    aten.minimum.default: aten.minimum.default,
    aten.maximum.default: aten.maximum.default,
    aten.full.default: aten.expand.default,
    aten.scalar_tensor.default: aten.alias.default,
}


def lift_numbers(graph: fx.Graph, others: Sequence[fx.Graph]) -> list[Tensor]:
    """Replaces the numbers in which graphs differ by new inputs of the first one.

    Args:
        graph: of the first run; changed in place.
        others: of the other runs, with the same operations.

    Returns:
        For each new input, which come last, its values `[runs]`.

    Raises:
        ValueError: the graphs differ in more than numbers, or a number is part of an operation that takes
            none as a tensor.

    Examples:
        >>> from torch.fx.experimental.proxy_tensor import make_fx
        >>> def product(number):
        ...     return make_fx(lambda x: x * number)(torch.ones(2))
        >>> first, second = product(2.0), product(3.0)
        >>> lift_numbers(first.graph, [second.graph])
        [tensor([2., 3.])]
        >>> _ = first.recompile()
        >>> first(torch.ones(2), torch.tensor(5.0))
        tensor([5., 5.])
    """
    columns = list(zip(*(list(one.nodes) for one in (graph, *others)), strict=False))
    if len({len(one.nodes) for one in (graph, *others)}) > 1:
        raise structure_error("other numbers of operations")
    order = [{node: i for i, node in enumerate(one.nodes)} for one in (graph, *others)]
    after = [node for node in graph.nodes if node.op == "placeholder"][-1]
    values: list[Tensor] = []
    for nodes in columns:
        places = _differing(nodes, order)
        for place in places:
            numbers = torch.tensor([float(pytree.tree_leaves((n.args, n.kwargs))[place]) for n in nodes])
            example = nodes[0].meta["val"]
            dtype = example.dtype if example.dtype.is_floating_point else torch.get_default_dtype()
            with graph.inserting_after(after):
                after = graph.placeholder(f"number_{len(values)}")
            after.meta["val"] = example.new_empty((), dtype=dtype)
            values.append(numbers.to(example.device, dtype))
            _take(nodes[0], place, after)
    return values


def _differing(nodes: Sequence[fx.Node], order: Sequence[dict[fx.Node, int]]) -> list[int]:
    """Places of the numbers that differ among the flat arguments of one operation."""
    first = nodes[0]
    if any((node.op, node.target) != (first.op, first.target) for node in nodes):
        raise structure_error(f"{first.target} in one run where another has something else")
    rows = [
        [
            f"%{where[leaf]}" if isinstance(leaf, fx.Node) else leaf  # no number: it may meet one
            for leaf in pytree.tree_leaves((node.args, node.kwargs))
        ]
        for node, where in zip(nodes, order, strict=True)
    ]
    if len({len(row) for row in rows}) > 1:
        raise structure_error(f"{first.target} with other arguments")
    places = []
    for place, leaves in enumerate(zip(*rows, strict=True)):
        if all(leaf == leaves[0] for leaf in leaves):
            continue
        numbers = all(isinstance(leaf, Real) and not isinstance(leaf, bool) for leaf in leaves)
        if not (numbers and any(isinstance(leaf, float) for leaf in leaves)):
            raise structure_error(f"{first.target} with {leaves[0]} in one run and others in another")
        places.append(place)
    return places


def _take(node: fx.Node, place: int, number: fx.Node) -> None:
    """Makes ``node`` read ``number`` in place of the number at ``place``."""
    if node.target not in _WITH_TENSOR:
        raise ValueError(
            f"vectorize: hyper-parameters that differ must be numbers in arithmetic, got one in "
            f"{node.target}. Train these runs one after the other (vectorize=false)."
        )
    if node.target in (aten.full.default, aten.scalar_tensor.default):
        size = (node.args[0],) if node.target is aten.full.default else ()
        node.args, node.kwargs = (number, *size), {}
    else:
        leaves, structure = pytree.tree_flatten((node.args, node.kwargs))
        leaves[place] = number
        node.args, node.kwargs = pytree.tree_unflatten(leaves, structure)
    node.target = _WITH_TENSOR[node.target]


def structure_error(found: str) -> ValueError:
    """The error of runs that no graph can do together.

    Args:
        found: how they differ.
    """
    return ValueError(
        f"vectorize: all runs must have one structure (algorithm, sizes, batch), and may differ in seeds and "
        f"scalar hyper-parameters, got {found}. Train them one after the other (vectorize=false)."
    )
