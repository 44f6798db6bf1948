"""The censored Gaussian by hand, as a distribution, and under transforms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import grad, vmap

from omiga_torchrl.functional.censored import (
    censor,
    censored_gaussian_cross_entropy,
    censored_gaussian_kl,
    censored_gaussian_log_density,
    log_normal_cdf,
)
from omiga_torchrl.functional.divergences import gaussian_kl

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


def double(*values):
    return [torch.tensor([value], dtype=DOUBLE) for value in values]


def test_cross_entropy_by_hand():
    """p = N(0, 1) has 0.1587 on each bound; q = N(1, 2) has Phi(0) = 1/2 above and Phi(-1) below."""
    tail, density_at_one = phi(-1.0), math.exp(-0.5) / math.sqrt(2 * math.pi)
    inside = 1 - 2 * tail
    squares = inside - 2 * density_at_one + inside  # E (x - 1)^2 inside: M2 + M0, as M1 = 0
    expected = -tail * math.log(0.5) - tail * math.log(tail)
    expected += inside * math.log(2 * math.sqrt(2 * math.pi)) + squares / 8
    found = censored_gaussian_cross_entropy(*double(0.0, 1.0, 1.0, 2.0))
    assert found.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [(0.0, 1.0), (0.9, 0.3), (-3.0, 2.0), (4.0, 0.5), (30.0, 0.01)])
@pytest.mark.parametrize("q", [(0.0, 1.0), (0.5, 0.2), (2.0, 3.0)])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.4, 0.4), (0.0, 100.0)])
def test_cross_entropy_is_the_integral(p, q, low, high):
    inside = torch.linspace(low, high, 200_003, dtype=DOUBLE)[2:-2, None]
    at = torch.tensor([[low], [high]], dtype=DOUBLE)

    def mean_under(weights, values):
        atoms = (weights(at).exp() * values(at)).sum()
        return torch.trapezoid(weights(inside).exp() * values(inside), inside[:, 0]) + atoms

    def log_density(loc_scale):
        return lambda x: censored_gaussian_log_density(x, *double(*loc_scale), low=low, high=high)

    expected = -mean_under(log_density(p), log_density(q))
    found = censored_gaussian_cross_entropy(*double(*p, *q), low=low, high=high)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-3)
    divergence = censored_gaussian_kl(*double(*p, *q), low=low, high=high).item()
    assert -1e-12 <= divergence <= gaussian_kl(*double(*p, *q)).item() + 1e-12
    assert divergence == pytest.approx(censored_gaussian_kl(*double(*p, *q)).item(), abs=1e-9)


def test_divergence_is_that_of_gaussians_where_nothing_is_clipped_and_of_coins_where_all_is():
    narrow = double(0.1, 0.05, -0.1, 0.1)
    torch.testing.assert_close(censored_gaussian_kl(*narrow), gaussian_kl(*narrow))
    wide = double(1e4, 1e4, 0.0, 1e4)  # above the bound with Phi(1), or 1/2
    share = phi(1.0)
    coins = share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))
    assert censored_gaussian_kl(*wide).item() == pytest.approx(coins, abs=1e-3)


def test_divergence_has_finite_gradients_under_vmap():
    p = torch.tensor([[9.0, -9.0, 0.1], [50.0, 0.0, -1.0]]), torch.tensor([[0.0067, 7.0, 1.0]] * 2)
    q = torch.tensor([[-9.0, 9.0, 0.2], [0.0, 3.0, -1.0]]), torch.tensor([[7.0, 0.5, 1.0]] * 2)

    def total(*args):
        return censored_gaussian_kl(*args).sum()

    whole = grad(total, argnums=(0, 1, 2, 3))(*p, *q)
    rows = vmap(grad(total, argnums=(0, 1, 2, 3)))(*p, *q)
    for one, other in zip(whole, rows, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other)


def test_padding_diverges_by_nothing():
    low, high = torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0])
    one, zero = torch.ones(1, 2), torch.zeros(1, 2)
    found = censored_gaussian_kl(zero, one, one, one, low=low, high=high)
    torch.testing.assert_close(found, censored_gaussian_kl(zero[:, 1:], one[:, 1:], one[:, 1:], one[:, 1:]))


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_an_action_at_the_edge_of_a_bound_is_on_it(side):
    loc, scale = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    at, edge = (torch.tensor([side * unit], dtype=torch.float64) for unit in (1.0, 1 - 1e-6))
    inside = torch.tensor([side * (1 - 2e-6)], dtype=torch.float64)
    on_bound = censored_gaussian_log_density(at, loc, scale)
    assert censored_gaussian_log_density(edge, loc, scale).equal(on_bound)
    assert (censored_gaussian_log_density(inside, loc, scale) - on_bound).abs() > 0.1
