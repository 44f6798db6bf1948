from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, Normal, kl_divergence

from omiga_torchrl.functional import categorical_kl, sampled_kl, soft_chi_square, soft_chi_square_ratio
from omiga_torchrl.functional.divergences import gaussian_kl

SEED = st.integers(0, 2**31)


def test_categorical_kl_by_hand():
    p, q = torch.tensor([[0.75, 0.25]]), torch.tensor([[0.5, 0.5]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert categorical_kl(p.log(), q.log()).item() == pytest.approx(expected)


@settings(deadline=None, max_examples=30)
@given(SEED, st.sampled_from([float("nan"), float("inf"), -float("inf"), torch.finfo(torch.float64).min]))
def test_categorical_kl_is_that_over_the_legal_actions(seed, garbage):
    generator = torch.Generator().manual_seed(seed)
    legal = torch.rand(6, 4, generator=generator) < 0.6
    legal[0], legal[1, 0] = False, True
    raw = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64).masked_fill(~legal, -torch.inf)
    log_p, log_q = raw.log_softmax(-1).masked_fill(~legal, garbage)
    log_p.requires_grad_(), log_q.requires_grad_()
    found = categorical_kl(log_p, log_q, legal)
    found.sum().backward()
    assert found[0] == 0 and (found > -1e-12).all()
    for leaf in (log_p, log_q):
        assert leaf.grad.isfinite().all() and (leaf.grad[~legal] == 0).all()
    for row in legal.any(-1).nonzero().flatten():
        one, two = (Categorical(logits=x.detach()[row][legal[row]]) for x in (log_p, log_q))
        torch.testing.assert_close(found[row].detach(), kl_divergence(one, two))


def test_sampled_kl_converges_to_the_divergence_with_its_gradient():
    torch.manual_seed(0)
    loc = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    policy, behaviour = Normal(loc, 0.7), Normal(torch.tensor(0.0).double(), 1.3)
    drawn = policy.rsample((2, 100_000))
    found = sampled_kl(policy.log_prob(drawn), behaviour.log_prob(drawn))
    exact = kl_divergence(policy, behaviour)
    torch.testing.assert_close(found, exact.expand(2), atol=0.01, rtol=0)
    gradients = [torch.autograd.grad(x, loc)[0] for x in (found.mean(), exact)]
    torch.testing.assert_close(*gradients, atol=0.01, rtol=0)


def test_gaussian_kl_is_torch_s():
    loc, other = torch.randn(2, 5, 3, dtype=torch.float64)
    scale, spread = torch.rand(2, 5, 3, dtype=torch.float64) + 0.1
    expected = kl_divergence(Normal(loc, scale), Normal(other, spread)).sum(-1)
    torch.testing.assert_close(gaussian_kl(loc, scale, other, spread), expected)


def test_soft_chi_square_by_hand():
    x = torch.tensor([-math.log(2), 0.0, 3.0])
    assert soft_chi_square_ratio(x).tolist() == pytest.approx([0.5, 1.0, 4.0])
    assert soft_chi_square(x).tolist() == pytest.approx([0.5 - 0.5 * math.log(2), 0.0, 4.5], abs=1e-6)


def numpy_ratio(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), x + 1)


def numpy_divergence(y):
    """f of a ratio y > 0: y log y - y + 1 below 1, (y - 1)^2 / 2 above."""
    return np.where(y < 1, y * np.log(y) - y + 1, np.square(y - 1) / 2)


@settings(deadline=None, max_examples=50)
@given(SEED)
def test_soft_chi_square_is_the_divergence_of_the_ratio_that_inverts_its_slope(seed):
    x = np.random.default_rng(seed).normal(scale=3, size=20)
    ratio = numpy_ratio(x)
    tensor = torch.from_numpy(x)
    np.testing.assert_allclose(soft_chi_square_ratio(tensor).numpy(), ratio, rtol=1e-12)
    np.testing.assert_allclose(soft_chi_square(tensor).numpy(), numpy_divergence(ratio), rtol=1e-7, atol=1e-9)
    slope = np.where(ratio < 1, np.log(ratio), ratio - 1)  # f'(r(x)) = x
    np.testing.assert_allclose(slope, x, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(SEED)
def test_derivative_relations(seed):
    x = 3 * torch.randn(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[0] = 0  # where the branches meet
    x.requires_grad_()
    ratio, divergence = soft_chi_square_ratio(x), soft_chi_square(x)
    conjugate = x * ratio - divergence
    slopes = [torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in (ratio, divergence, conjugate)]
    torch.testing.assert_close(slopes[0], torch.where(x < 0, x.exp(), 1.0))
    torch.testing.assert_close(slopes[1], x * slopes[0])
    torch.testing.assert_close(slopes[2], ratio)


def test_soft_chi_square_of_huge_numbers_has_a_finite_gradient():
    x = torch.tensor([1e10, -1e10, 1000.0, -1000.0], requires_grad=True)
    (soft_chi_square(x) + soft_chi_square_ratio(x)).sum().backward()
    assert soft_chi_square_ratio(x).isfinite().all() and x.grad.isfinite().all()


def test_a_legal_action_without_probability_adds_nothing():
    log_p = torch.tensor([0.0, -torch.inf, 3.0], requires_grad=True)
    log_q = torch.tensor([0.5, 0.25, 0.25]).log()
    found = categorical_kl(log_p, log_q, torch.tensor([True, True, False]))
    found.backward()
    assert found.item() == pytest.approx(math.log(2)) and log_p.grad.isfinite().all()
