"""The censored Gaussian by hand, as a distribution, and under transforms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import grad, vmap

from omiga_torchrl.functional.censored import censor, censored_gaussian_log_density, log_normal_cdf

DOUBLE = torch.float64


def phi(x):
    """Probability of a standard normal below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def test_by_hand():
    """Box [0, 4]: middle 2, half 2; y ~ N(0.5, 0.25) is below -1 with Phi(-6), above 1 with Phi(-2)."""
    action = torch.tensor([[4.0], [0.0], [3.0], [9.0]])
    found = censored_gaussian_log_density(
        action, torch.tensor([0.5]), torch.tensor([0.25]), low=0.0, high=4.0
    )
    at_mean = math.log(1 / (0.25 * math.sqrt(2 * math.pi)) / 2)  # 3 is y = 0.5, and h = 2
    expected = [math.log(phi(-2.0)), math.log(phi(-6.0)), at_mean]
    assert found.tolist() == pytest.approx([*expected, math.log(phi(-2.0))], rel=1e-5)


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (0.9, 0.3), (-3.0, 2.0), (4.0, 0.5)])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.4, 0.4), (0.0, 100.0)])
def test_probabilities_sum_to_one(loc, scale, low, high):
    loc, scale = torch.tensor([loc], dtype=DOUBLE), torch.tensor([scale], dtype=DOUBLE)
    inside = torch.linspace(low, high, 200_003, dtype=DOUBLE)[1:-1]
    density = censored_gaussian_log_density(inside[:, None], loc, scale, low=low, high=high).exp()
    at = torch.tensor([[low], [high]], dtype=DOUBLE)
    atoms = censored_gaussian_log_density(at, loc, scale, low=low, high=high).exp().sum()
    on_edge = slice(1, -1)  # the outermost points count as on the bound
    total = torch.trapezoid(density[on_edge], inside[on_edge]) + atoms
    assert total.item() == pytest.approx(1.0, abs=1e-4)


def test_log_probability_in_both_tails():
    x = torch.linspace(-50, 20, 701, requires_grad=True)
    exact = torch.special.log_ndtr(x.double())
    torch.testing.assert_close(log_normal_cdf(x).double(), exact, rtol=1e-5, atol=1e-7)
    slope = torch.autograd.grad(log_normal_cdf(x).sum(), x)[0]
    assert slope.isfinite().all() and (slope >= 0).all()


def test_gradients_are_finite_and_the_same_under_vmap():
    action = torch.tensor([[1.0, -1.0, 0.3], [-2.0, 5.0, 1.0]])
    loc, scale = torch.tensor([[9.0, 9.0, 0.1], [9.0, -9.0, 0.0]]), torch.tensor([[7.0, 0.0067, 1.0]] * 2)

    def total(loc, scale, action):
        return censored_gaussian_log_density(action, loc, scale).sum()

    whole = grad(total, argnums=(0, 1))(loc, scale, action)
    rows = vmap(grad(total, argnums=(0, 1)))(loc, scale, action)
    for one, other in zip(whole, rows, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other)


def test_padding_counts_nothing():
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0])
    action, loc = torch.tensor([[0.2, 0.0]]), torch.tensor([[0.1, 0.7]], requires_grad=True)
    found = censored_gaussian_log_density(action, loc, torch.ones(2), low=low, high=high)
    alone = censored_gaussian_log_density(action[:, :1], loc[:, :1], torch.ones(1))
    torch.testing.assert_close(found, alone)
    assert torch.autograd.grad(found.sum(), loc)[0][0, 1] == 0
    assert censor(torch.tensor([5.0, 5.0]), low, high).tolist() == [1.0, 0.0]
