"""Random draws that do not depend on their order, for the golden numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from tests.objectives.golden_cases import generator

_SOURCES = {"normal": torch.randn, "uniform": torch.rand}


def _numbers(kind: str, shape: Any, dtype: torch.dtype | None) -> Tensor:
    shape = tuple(shape)
    drawn = _SOURCES[kind](shape, generator=generator(f"{kind}{shape}"), dtype=torch.float64)
    return drawn.to(dtype or torch.get_default_dtype())


def _made(kind: str) -> Any:
    def make(*args: Any, size: Any = None, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
        shape = size if size is not None else args[0] if args and not isinstance(args[0], int) else args
        return _numbers(kind, shape, dtype)

    return make


def _like(kind: str) -> Any:
    return lambda x, dtype=None, **_: _numbers(kind, x.shape, dtype or x.dtype)


def _normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, **_: Any) -> Tensor:
    return x.copy_(mean + std * _numbers("normal", x.shape, x.dtype))


def _uniform_(x: Tensor, low: float = 0.0, high: float = 1.0, **_: Any) -> Tensor:
    return x.copy_(low + (high - low) * _numbers("uniform", x.shape, x.dtype))


@contextmanager
def without_order() -> Iterator[None]:
    """Draws follow from their distribution and shape alone; raises if anything draws in another way."""
    before = torch.get_rng_state()
    replaced = (
        *((torch, "randn", _made("normal")), (torch, "rand", _made("uniform"))),
        *((torch, "randn_like", _like("normal")), (torch, "rand_like", _like("uniform"))),
        *((torch.Tensor, "normal_", _normal_), (torch.Tensor, "uniform_", _uniform_)),
    )
    with ExitStack() as stack:
        for owner, name, replacement in replaced:
            stack.enter_context(mock.patch.object(owner, name, replacement))
        yield
    if not torch.equal(before, torch.get_rng_state()):
        raise RuntimeError("golden: the loss draws in a way that is not replaced. Add it to without_order.")
