"""Graphs that differ in numbers become one with these numbers as inputs, and no others do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from omiga_torchrl.trainers.compiled.merge import lift_numbers, structure_error

X = torch.tensor([1.0, 2.0, 4.0])


def traced(function: Callable[[Tensor], Any], x: Tensor = X) -> Any:
    return make_fx(function)(x)


def merged(make: Callable[[float], Callable[[Tensor], Any]], *numbers: float) -> tuple[Any, list[Tensor]]:
    first, *others = (traced(make(number)) for number in numbers)
    values = lift_numbers(first.graph, [other.graph for other in others])
    first.recompile()
    return first, values


@pytest.mark.parametrize(
    "make",
    [
        lambda n: lambda x: x * n,
        lambda n: lambda x: x + n,
        lambda n: lambda x: x - n,
        lambda n: lambda x: x / n,
        lambda n: lambda x: n / x,
        lambda n: lambda x: x**n,
        lambda n: lambda x: x.clamp_min(n),
        lambda n: lambda x: x.clamp_max(n),
        lambda n: lambda x: torch.where(x < n, x, 0.0),
        lambda n: lambda x: torch.where(x >= n, x, 0.0),
        lambda n: lambda x: torch.full((3,), n) + x,
        lambda n: lambda x: torch.scalar_tensor(n) * x,
    ],
)
def test_a_number_becomes_an_input_of_each_run(make: Callable[[float], Callable[[Tensor], Any]]) -> None:
    graph, values = merged(make, 1.5, 2.0, 3.5)
    assert values and all(one.tolist() == values[0].tolist() for one in values)
    for run, number in enumerate((1.5, 2.0, 3.5)):
        torch.testing.assert_close(graph(X, *(one[run] for one in values)), make(number)(X))


def test_equal_numbers_stay_and_others_come_in_their_order() -> None:
    def make(number: float) -> Callable[[Tensor], Any]:
        return lambda x: (x * number + 7.0) / (number + 1)

    graph, values = merged(make, 1.0, 3.0)
    assert [one.tolist() for one in values] == [[1.0, 3.0], [2.0, 4.0]]
    assert torch.equal(graph(X, torch.tensor(5.0), torch.tensor(2.0)), (X * 5 + 7) / 2)
    places = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    assert len(places) == 3 and places[1:] == ["number_0", "number_1"]
    same, none = merged(make, 2.0, 2.0)
    assert none == [] and torch.equal(same(X), make(2.0)(X))


def test_an_integer_may_meet_a_float_but_not_another_integer() -> None:
    _, values = merged(lambda n: lambda x: x * n, 2, 2.5)
    assert values[0].tolist() == [2.0, 2.5]
    with pytest.raises(ValueError, match=r"vectorize: all runs must have one structure.*with 2 in one run"):
        merged(lambda n: lambda x: x * n, 2, 3)
    with pytest.raises(ValueError, match=r"one structure"):
        merged(lambda n: lambda x: x.sum(int(n)), 0, -1)


def test_numbers_have_the_dtype_of_what_they_meet() -> None:
    for dtype in (torch.float64, torch.float32):
        first, other = traced(lambda x: x * 0.1, X.to(dtype)), traced(lambda x: x * 0.2, X.to(dtype))
        (values,) = lift_numbers(first.graph, [other.graph])
        assert values.dtype == dtype


def test_other_structures_are_refused() -> None:
    cases: list[tuple[Callable[[Tensor], Any], Callable[[Tensor], Any], str]] = [
        (lambda x: x + 1, lambda x: (x + 1) * 2, r"other numbers of operations"),
        (lambda x: x.sin(), lambda x: x.cos(), r"aten.sin.default in one run where another"),
        (lambda x: (x.sin() * x, x), lambda x: (x * x.sin(), x), r"mul.Tensor with %1 in one run"),
        (lambda x: x.sum(), lambda x: x.sum(0), r"one structure"),
        # A result in one run, which is the first there, and a number in the other.
        (lambda x: x * 2.0, lambda x: x * x, r"mul.Tensor with 2.0 in one run"),
        (lambda x: x + 0, lambda x: x + x, r"add.Tensor with 0 in one run"),
    ]
    for one, other, text in cases:
        with pytest.raises(ValueError, match=rf"vectorize: all runs.*{text}"):
            lift_numbers(traced(one).graph, [traced(other).graph])


def test_a_number_that_no_tensor_replaces_is_named() -> None:
    with pytest.raises(ValueError, match=r"vectorize: hyper-parameters that differ.*aten.leaky_relu.default"):
        merged(lambda n: lambda x: torch.nn.functional.leaky_relu(x, n), 0.1, 0.2)
    assert "got sizes" in str(structure_error("sizes"))
