from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import ensemble_minimum, soft_minimum


def test_by_hand():
    values = torch.tensor([[4.0, 0.0], [1.0, 1.0]])
    assert ensemble_minimum(values).tolist() == [0.0, 1.0]
    assert soft_minimum(values).tolist() == [1.0, 1.0]  # 0.75 * 0 + 0.25 * 4


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 5), st.floats(0, 1))
def test_against_numpy_and_between_the_extremes(seed, size, share):
    values = np.random.default_rng(seed).normal(size=(4, 3, size))
    found = soft_minimum(torch.from_numpy(values), share).numpy()
    np.testing.assert_allclose(found, share * values.min(-1) + (1 - share) * values.max(-1))
    assert (found >= values.min(-1) - 1e-12).all() and (found <= values.max(-1) + 1e-12).all()
    np.testing.assert_array_equal(ensemble_minimum(torch.from_numpy(values)).numpy(), values.min(-1))


def test_gradient_reaches_the_members_that_count():
    values = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    soft_minimum(values, 0.75).backward()
    assert values.grad.tolist() == pytest.approx([0.25, 0.75, 0])
