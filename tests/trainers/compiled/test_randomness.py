"""Draws that a traced step takes from outside are those of the eager step, number for number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from omiga_torchrl.trainers.compiled.randomness import lift_random

DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "rand": lambda x: torch.rand(3),
    "rand_like": torch.rand_like,
    "randn": lambda x: torch.randn(3),
    "randn_like": torch.randn_like,
    "normal": lambda x: torch.normal(x, 2 * torch.ones(3)),
    "randint": lambda x: torch.randint(5, (3,)),
    "randint from 3": lambda x: torch.randint(3, 9, (3,)),
    "randperm": lambda x: torch.randperm(3),
    "uniform_": lambda x: torch.empty(3).uniform_(2, 5),
    "normal_": lambda x: torch.empty(3).normal_(2, 5),
    "exponential_": lambda x: torch.empty(3).exponential_(2),
    "several": lambda x: torch.rand(3) + 10 * torch.randn(3) + 100 * torch.randint(2, 4, (3,)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_lifted_draw_is_the_eager_one(name: str) -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    traced = make_fx(torch.func.functionalize(lambda x: x + DRAWS[name](x)))(x)
    draws = lift_random(traced.graph)
    traced.recompile()
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    expected = x + DRAWS[name](x)
    torch.manual_seed(3)
    assert torch.equal(traced(x, *(draw(None) for draw in draws)), expected)
    assert torch.equal(traced(x, *(draw(generator) for draw in draws)), expected)


def test_a_draw_that_depends_on_values_is_refused() -> None:
    traced = make_fx(lambda x: torch.multinomial(x, 1))(torch.ones(3))
    with pytest.raises(NotImplementedError, match="multinomial"):
        lift_random(traced.graph)
