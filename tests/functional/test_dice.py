from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import (
    comadice_lagrange_loss,
    comadice_official_value_loss,
    comadice_value_loss,
    comadice_weight,
    soft_chi_square,
    soft_chi_square_conjugate,
    soft_chi_square_ratio,
)

SEED = st.integers(0, 2**31)


def numbers(seed, *, scale=3.0):
    x = scale * torch.randn(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[0] = 0  # where the branches meet
    return x.requires_grad_()


def test_losses_by_hand():
    """e is 2 and - log 2, lambda 0 or 1, alpha 1 or 2."""
    e, zero, one = torch.tensor([2.0, -math.log(2)]), torch.tensor(0.0), torch.tensor(1.0)
    assert soft_chi_square_conjugate(e).tolist() == pytest.approx([4.0, -0.5])
    assert comadice_value_loss(2 * e, 2.0).tolist() == pytest.approx([8.0, -1.0])
    assert comadice_lagrange_loss(2 * e + 1, one, 2.0).tolist() == pytest.approx([9.0, 0.0])
    assert comadice_official_value_loss(2 * e + 1, one, 2.0).tolist() == pytest.approx([9.0, 0.0])
    assert comadice_weight(e, zero, 1.0).tolist() == pytest.approx([3.0, 0.5])
    assert comadice_weight(e, zero, 1.0, 2.0).tolist() == pytest.approx([2.0, 0.5])


@settings(deadline=None, max_examples=30)
@given(SEED)
def test_conjugate_is_that_of_the_divergence(seed):
    x = numbers(seed)
    ratio = soft_chi_square_ratio(x)
    torch.testing.assert_close(soft_chi_square_conjugate(x), x * ratio - soft_chi_square(x))
    (slope,) = torch.autograd.grad(soft_chi_square_conjugate(x).sum(), x)
    torch.testing.assert_close(slope, ratio)


@settings(deadline=None, max_examples=30)
@given(SEED, st.floats(0.1, 10), st.floats(-2, 2))
def test_gradients_of_value_and_multiplier(seed, alpha, multiplier):
    e, price = numbers(seed), torch.tensor(multiplier, dtype=torch.float64, requires_grad=True)
    x = ((e - price) / alpha).detach()
    (slope,) = torch.autograd.grad(comadice_value_loss(e, alpha).sum(), e)
    torch.testing.assert_close(slope, soft_chi_square_ratio(e / alpha))
    loss = comadice_lagrange_loss(e, price, alpha).mean()
    assert torch.autograd.grad(loss, e, retain_graph=True, allow_unused=True) == (None,)
    torch.testing.assert_close(torch.autograd.grad(loss, price)[0], 1 - soft_chi_square_ratio(x).mean())
    official = comadice_official_value_loss(e, price, alpha)
    torch.testing.assert_close(official, comadice_lagrange_loss(e, price, alpha))
    (slope,) = torch.autograd.grad(official.sum(), e)
    torch.testing.assert_close(slope, torch.where(x < 0, x * x.exp(), x))  # x r'(x)


def test_huge_advantages_have_finite_losses_and_gradients():
    e = torch.tensor([1e10, -1e10, 1000.0, -1000.0], requires_grad=True)
    loss = comadice_value_loss(e, 1.0)
    loss.sum().backward()
    assert loss.isfinite().all() and e.grad.isfinite().all()
    assert not comadice_weight(e, torch.tensor(0.0), 1.0).requires_grad
