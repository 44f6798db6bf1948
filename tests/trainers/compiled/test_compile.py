"""What a compiled step does with its state: in place, all at once, and nothing else shares it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from omiga_torchrl.trainers.compiled import compile as compiling
from omiga_torchrl.trainers.compiled.compile import compile_graph


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of inductor, which is left out: the graph runs as it is handed over."""
    options: list[dict[str, Any]] = []

    def inner(module: Any, inputs: Any, **given: Any) -> Callable[[list[Tensor]], Any]:
        options.append({"n_inputs": len(inputs), **given})
        return lambda values: module(*values)

    monkeypatch.setattr(compiling, "compile_fx_inner", inner)
    return options


def compiled(step: Callable[..., Any], n_state: int, *inputs: Tensor) -> Callable[[list[Tensor]], Any]:
    return compile_graph(make_fx(step, tracing_mode="fake")(*inputs), n_state)


def test_the_state_changes_in_place_and_the_rest_is_returned(seen: list[Any]) -> None:
    def step(a: Tensor, b: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        return a + x, b * 2, (a * x).sum(), x - 1

    a, b, x = torch.ones(2), torch.full((3,), 3.0), torch.tensor([4.0, 5.0])
    out = compiled(step, 2, a, b, x)([a, b, x])
    assert a.tolist() == [5.0, 6.0] and b.tolist() == [6.0] * 3 and x.tolist() == [4.0, 5.0]
    assert [value.tolist() for value in out] == [9.0, [3.0, 4.0]]
    assert seen == [{"n_inputs": 3, "is_inference": True, "cpp_wrapper": True}]


def test_new_values_are_made_of_old_ones_only(seen: list[Any]) -> None:
    def swap(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return b + 0, a + b, a * 1

    a, b = torch.tensor([1.0]), torch.tensor([10.0])
    (before,) = compiled(swap, 2, a, b)([a, b])
    assert (a.item(), b.item(), before.item()) == (10.0, 11.0, 1.0)


def test_an_output_that_the_state_keeps_does_not_change_with_it(seen: list[Any]) -> None:
    def step(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        new = a + 1
        return new, b, new, b, a

    a, b = torch.tensor([1.0]), torch.tensor([10.0])
    run = compiled(step, 2, a, b)
    new, kept, old = run([a, b])
    assert (a.item(), b.item()) == (2.0, 10.0) and (new.item(), kept.item(), old.item()) == (2.0, 10.0, 1.0)
    run([a, b])
    b += 1
    assert (a.item(), new.item(), kept.item(), old.item()) == (3.0, 2.0, 10.0, 1.0)


def test_a_state_that_stays_is_not_copied(seen: list[Any]) -> None:
    module = make_fx(lambda a, x: (a, x + 1), tracing_mode="fake")(torch.ones(1), torch.ones(1))
    run = compile_graph(module, 1)
    copies = [node for node in module.graph.nodes if node.target is torch.ops.aten.copy_.default]
    (out,) = run([torch.ones(1), torch.ones(1)])
    assert not copies and out.item() == 2.0
    written = make_fx(lambda a, x: (a + x, x), tracing_mode="fake")(torch.ones(1), torch.ones(1))
    compile_graph(written, 1)
    (copy,) = (node for node in written.graph.nodes if node.target is torch.ops.aten.copy_.default)
    assert copy.meta["val"].shape == (1,)
