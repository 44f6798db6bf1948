from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import (
    boltzmann_kl,
    categorical_kl,
    conservative_penalty,
    counterfactual_weights,
)

SEED = st.integers(0, 2**31)
GARBAGE = st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30, 0.0])


def random_rows(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    draw = [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    return *draw, torch.rand(*shape, generator=generator) < 0.6


def test_by_hand():
    # log(1 + 3) - 0.5, at T = 1
    value = torch.tensor([0.0, math.log(3)])
    assert conservative_penalty(value, torch.tensor(0.5)).item() == pytest.approx(math.log(4) - 0.5)
    # T = 2: 2 log(e^0 / 4 + 3 / 4) - 0.5 with Q = 2 (0, log 3) and masses 1/4
    mass = torch.full((2,), 0.25).log()
    found = conservative_penalty(2 * value, torch.tensor(0.5), log_importance_weight=mass, temperature=2.0)
    assert found.item() == pytest.approx(-0.5)


@settings(deadline=None, max_examples=30)
@given(SEED, st.floats(0.2, 5))
def test_against_numpy(seed, temperature):
    value, mass, legal = random_rows(seed, 4, 3, 5)
    data = value[..., 0] + 1
    found = conservative_penalty(
        value, data, log_importance_weight=mass, temperature=temperature, action_mask=legal
    )
    summand = np.where(legal, np.exp(value.numpy() / temperature + mass.numpy()), 0).sum(-1)
    with np.errstate(divide="ignore"):
        expected = temperature * np.log(summand) - data.numpy()
    np.testing.assert_allclose(found.numpy(), np.where(legal.any(-1), expected, 0), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(SEED, GARBAGE)
def test_illegal_candidates_add_exactly_nothing_to_value_and_gradient(seed, garbage):
    value, mass, legal = random_rows(seed, 6, 5)
    legal[0] = False
    value.masked_fill_(~legal, garbage).requires_grad_()
    mass.masked_fill_(~legal, garbage)
    data = torch.ones(6, dtype=torch.float64, requires_grad=True)
    found = conservative_penalty(value, data, log_importance_weight=mass, action_mask=legal)
    found.sum().backward()
    some = legal.any(-1)
    assert (value.grad[~legal] == 0).all()
    assert (found[~some] == 0).all() and (data.grad[~some] == 0).all()
    assert (data.grad[some] == -1).all()
    # the pushes down on the candidates of a row balance the push up on the data action
    torch.testing.assert_close(value.grad.sum(-1), some.double())
    for row in some.nonzero().flatten():
        keep = legal[row]
        alone = value.detach()[row][keep].requires_grad_()
        expected = conservative_penalty(alone, data.detach()[row], log_importance_weight=mass[row][keep])
        torch.testing.assert_close(found[row], expected)
        torch.testing.assert_close(value.grad[row][keep], torch.autograd.grad(expected, alone)[0])


@settings(deadline=None, max_examples=30)
@given(SEED, st.floats(-100, 100))
def test_a_shift_of_all_values_changes_nothing(seed, shift):
    value, mass, legal = random_rows(seed, 6, 5)
    for options in ({}, {"action_mask": legal, "temperature": 0.7, "log_importance_weight": mass}):
        torch.testing.assert_close(
            conservative_penalty(value + shift, value[:, 0] + shift, **options),
            conservative_penalty(value, value[:, 0], **options),
            rtol=1e-9,
            atol=1e-9,
        )


def test_penalty_of_all_actions_is_not_negative_and_its_gradient_is_softmax_minus_data():
    value, _, _ = random_rows(0, 20, 5)
    value.requires_grad_()
    penalty = conservative_penalty(value, value[:, 2])
    assert (penalty > 0).all()
    (gradient,) = torch.autograd.grad(penalty.sum(), value)
    torch.testing.assert_close(gradient, value.softmax(-1) - torch.eye(5).double()[2])


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_importance_correction_makes_samples_of_any_density_estimate_the_integral(temperature):
    """T log of the integral of exp(Q / T) over [-1, 1], by uniform and by triangular samples."""
    torch.manual_seed(0)
    grid = torch.linspace(-1, 1, 100_001, dtype=torch.float64)
    exact = temperature * torch.trapezoid((qvalue(grid) / temperature).exp(), grid).log()
    uniform = torch.rand(400_000, dtype=torch.float64) * 2 - 1
    triangular = 0.99 * (torch.rand(400_000).double() - torch.rand(400_000).double())
    densities = torch.full_like(uniform, 0.5), (1 - triangular.abs() / 0.99) / 0.99
    for action, density in zip((uniform, triangular), densities, strict=True):
        mass = -density.log() - math.log(len(action))
        found = conservative_penalty(
            qvalue(action), torch.tensor(0.0).double(), log_importance_weight=mass, temperature=temperature
        )
        assert found.item() == pytest.approx(exact.item(), abs=0.03)


def qvalue(action):
    return torch.sin(3 * action) - action.square()


def test_the_correction_is_detached_and_one_row_of_it_serves_all():
    value, mass, _ = random_rows(1, 3, 4)
    mass = mass[0].requires_grad_()
    value.requires_grad_()
    conservative_penalty(value, value[:, 0], log_importance_weight=mass).sum().backward()
    assert mass.grad is None and value.grad is not None


def test_huge_values_stay_finite():
    value = torch.tensor([1e4, -1e4], requires_grad=True)
    found = conservative_penalty(value, torch.tensor(0.0), action_mask=torch.tensor([True, True]))
    found.backward()
    assert found.item() == 1e4 and value.grad.tolist() == [1, 0]


def test_counterfactual_penalty_of_a_linear_mixer_is_that_of_the_local_values():
    """Q_tot with one agent's action replaced differs from Q_tot of the data by w_i (Q_i(a) - Q_i)."""
    local, _, _ = random_rows(2, 7, 3, 5)
    weight, data, bias = local[..., 0].abs(), local[..., 1], local[:, 0, 2]
    total = (weight * data).sum(-1) + bias
    for agent in range(3):
        others = total - weight[:, agent] * data[:, agent]
        replaced = others.unsqueeze(-1) + weight[:, agent, None] * local[:, agent]
        torch.testing.assert_close(
            conservative_penalty(replaced, total),
            conservative_penalty(weight.unsqueeze(-1) * local, weight * data)[:, agent],
        )


def test_weights_by_hand():
    divergence = torch.tensor([[0.0, math.log(2), math.log(5)]], requires_grad=True)
    assert counterfactual_weights(divergence, 1.0)[0].tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert counterfactual_weights(divergence, 0.0)[0].tolist() == pytest.approx([1 / 3] * 3)
    assert counterfactual_weights(divergence, 100.0)[0].tolist() == pytest.approx([0, 0, 1])
    assert not counterfactual_weights(divergence, 1.0).requires_grad


@pytest.mark.parametrize("inverse_temperature", [-2.0, 0.0, 3.0])
def test_absent_agents_have_no_weight_and_change_none(inverse_temperature):
    divergence = torch.tensor([[0.5, 1.0, 2.0], [0.5, 1.0, float("nan")], [1.0, 1.0, 1.0]])
    mask = torch.tensor([[True, True, True], [True, True, False], [False, False, False]])
    found = counterfactual_weights(divergence, inverse_temperature, mask)
    torch.testing.assert_close(found[0], counterfactual_weights(divergence[0], inverse_temperature))
    torch.testing.assert_close(found[1, :2], counterfactual_weights(divergence[1, :2], inverse_temperature))
    assert found[1, 2] == 0 and (found[2] == 0).all()


def test_divergence_by_samples_is_that_of_all_actions_and_of_an_integral():
    """Exact for every action once, each of probability 1 / K; by a Gaussian's formula for many samples."""
    value, _, _ = random_rows(3, 4, 6)
    log_mu = random_rows(4, 4, 6)[0].log_softmax(-1)
    uniform = torch.full_like(value, -math.log(6))
    expected = categorical_kl(value.log_softmax(-1), log_mu)
    torch.testing.assert_close(boltzmann_kl(value, uniform, log_mu), expected)
    # p = N(1, 1) and q = N(0, 2): log 2 + (1 + 1) / 8 - 1 / 2; the samples are of q.
    torch.manual_seed(0)
    other = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 2.0)
    sample = other.sample((200_000,))
    found = boltzmann_kl(-0.5 * (sample - 1).square() + 7.0, other.log_prob(sample), other.log_prob(sample))
    assert found.item() == pytest.approx(math.log(2) + 0.25 - 0.5, abs=0.01)
