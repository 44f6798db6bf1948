"""The traced step against the eager one, in double precision, where rounding does not grow over the steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.trainers.compiled.cases import Case, EagerRun, GraphRun, every_case

STEPS = 50
SOME = [case for case in every_case() if str(case) in ("bc-continuous", "td3_bc-continuous-qmix")]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def assert_equal_for(case: Case, steps: int, **options: Any) -> None:
    eager, traced = EagerRun(case, **options), GraphRun(case, **options)
    for number in range(1, steps + 1):
        batch = case.batch()
        seed = torch.random.get_rng_state()
        expected = eager(batch.copy(), number)
        after = torch.random.get_rng_state()
        torch.random.set_rng_state(seed)
        got = traced(batch, number)
        assert torch.equal(after, torch.random.get_rng_state()), "other random numbers than the eager step's"
        assert set(got) == set(expected.keys())
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=1e-6, atol=1e-9)
    traced.store()
    state = traced.parts.loss.state_dict()
    for name, value in eager.parts.loss.state_dict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", every_case(), ids=str)
def test_every_algorithm_equals_the_eager_step(case: Case) -> None:
    assert_equal_for(case, STEPS)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_some_algorithms_equal_the_eager_step(case: Case) -> None:
    assert_equal_for(case, 3)
