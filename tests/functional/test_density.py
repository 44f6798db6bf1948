from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from omiga_torchrl.functional import tanh_gaussian_log_density
from omiga_torchrl.functional.density import log_density_after_tanh


def test_by_hand():
    # tanh'(0) = 1, so the density at 0 is that of the normal.
    value = tanh_gaussian_log_density(torch.zeros(2), torch.zeros(2), torch.ones(2))
    assert value.item() == pytest.approx(-math.log(2 * math.pi))


def test_against_torch_distributions():
    torch.manual_seed(0)
    loc, scale = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64) + 0.2
    action = torch.tanh(torch.randn(5, 3, dtype=torch.float64))
    reference = Independent(TransformedDistribution(Normal(loc, scale), TanhTransform()), 1)
    got = tanh_gaussian_log_density(action, loc, scale)
    torch.testing.assert_close(got, reference.log_prob(action), rtol=1e-9, atol=1e-9)


def test_small_actions_keep_their_digits():
    """Within [-1, 1] nothing is rescaled: adding and taking off 1 would round 1e-9 to 0."""
    action = torch.tensor([1e-9])
    found = tanh_gaussian_log_density(action, torch.zeros(1), torch.full((1,), 1e-9))
    assert found.item() == pytest.approx(-0.5 - math.log(1e-9) - 0.5 * math.log(2 * math.pi), rel=1e-6)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (-0.4, 0.4), (0.0, 3.0), (-1.0, 3.0), (-3.0, -1.0)])
def test_integrates_to_one(bounds):
    low, high = bounds
    grid = torch.linspace(low, high, 20_001, dtype=torch.float64)[1:-1]
    density = tanh_gaussian_log_density(
        grid.unsqueeze(-1),
        torch.full_like(grid, 0.3).unsqueeze(-1),
        torch.full_like(grid, 0.7).unsqueeze(-1),
        low=low,
        high=high,
    ).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [1.0, -1.0, 1.5])
def test_is_finite_with_gradient_at_and_beyond_the_bounds(value):
    loc = torch.zeros(2, requires_grad=True)
    log_density = tanh_gaussian_log_density(torch.full((2,), value), loc, torch.ones(2))
    log_density.backward()
    assert log_density.isfinite() and loc.grad.isfinite().all()


@pytest.mark.parametrize("at", [-2.0, 0.0, 1.5])
def test_density_of_what_was_before_tanh_is_that_of_the_action(at):
    y, loc, scale = torch.full((4, 3), at).double(), torch.randn(4, 3).double(), torch.ones(4, 3).double()
    action = 0.5 + 2.5 * y.tanh()
    expected = tanh_gaussian_log_density(action, loc, scale, low=-2.0, high=3.0)
    found = log_density_after_tanh(y, loc, scale, half_range=2.5)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_density_before_tanh_is_exact_where_tanh_rounds_to_one():
    y = torch.tensor([20.0])
    assert y.tanh() == 1
    # N(20; 20, 1) / (1 - tanh^2), 1 - tanh^2 = 4 e^-40
    expected = -0.5 * math.log(2 * math.pi) + 40 - math.log(4)
    assert log_density_after_tanh(y, y, torch.ones(1)).item() == pytest.approx(expected, rel=1e-6)


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("precision", [*HALVES, torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [1e-7, 0.0])
def test_the_margin_counts_in_every_precision(precision, margin):
    action = torch.tensor([[1.0], [-1.0], [3.0]], dtype=precision)
    loc, scale = torch.zeros(3, 1, dtype=precision, requires_grad=True), torch.ones(3, 1, dtype=precision)
    found = tanh_gaussian_log_density(action, loc, scale, margin=margin)
    found.sum().backward()
    assert found.isfinite().all() and loc.grad.isfinite().all()


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_is_computed_in_single(precision):
    torch.manual_seed(0)
    action, loc = (torch.rand(64, 2) - 0.5).to(precision), torch.randn(64, 2).to(precision)
    scale = (torch.rand(64, 2) + 0.1).to(precision)
    found = tanh_gaussian_log_density(action, loc, scale, low=-0.5, high=2.0)
    assert found.dtype == torch.float32
    assert found.equal(
        tanh_gaussian_log_density(action.float(), loc.float(), scale.float(), low=-0.5, high=2.0)
    )


def test_single_and_double_precision_keep_the_published_margin():
    """1 - 1e-7 rounds to two steps below 1 in single precision."""
    at = torch.tensor(1 - 1e-7, dtype=torch.float32)
    assert 1 - at == 2 * torch.finfo(torch.float32).eps / 2
    for precision, inside in ((torch.float32, at), (torch.float64, 1 - 1e-7)):
        one, zero = torch.ones(1, dtype=precision), torch.zeros(1, dtype=precision)
        y = torch.atanh(torch.as_tensor(inside, dtype=precision)).reshape(1)
        assert tanh_gaussian_log_density(one, zero, one).equal(log_density_after_tanh(y, zero, one))
