from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import (
    clipped_exponential_weight,
    counterfactual_advantage,
    effective_sample_size,
    lambda_target,
    log_partition,
    softmax_weight,
    standardise,
)


def test_softmax_weight_by_hand():
    # e^0 : e^ln3 = 1 : 3, twice their shares
    weight = softmax_weight(torch.tensor([0.0, math.log(3)]), (0,))
    assert weight.tolist() == pytest.approx([0.5, 1.5])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.booleans())
def test_mean_weight_is_one_over_the_valid_entries(seed, per_step):
    generator = torch.Generator().manual_seed(seed)
    score = 10 * torch.randn(5, 4, 3, generator=generator)
    valid = torch.rand(5, 4, 3, generator=generator) < 0.7
    valid[0] = True
    dims = (0,) if per_step else (0, 1)
    weight = softmax_weight(score, dims, valid)
    assert (weight[~valid] == 0).all()
    mean = weight.sum(dims) / valid.sum(dims)
    torch.testing.assert_close(mean, torch.ones_like(mean))


def test_invalid_entries_change_nothing_even_if_nan():
    score = torch.tensor([1.0, 2.0, float("nan"), float("inf")])
    valid = torch.tensor([True, True, False, False])
    weight = softmax_weight(score, (0,), valid)
    torch.testing.assert_close(weight[:2], softmax_weight(score[:2], (0,)))
    assert (weight[2:] == 0).all()


def test_nothing_valid_gives_zeros():
    nothing = torch.zeros(3, dtype=torch.bool)
    assert softmax_weight(torch.randn(3), (0,), nothing).tolist() == [0, 0, 0]


def test_sample_size_of_no_weights_is_zero():
    assert effective_sample_size(torch.zeros(3), torch.zeros(3, dtype=torch.bool)) == 0


def test_huge_scores_stay_finite_and_a_shift_changes_nothing():
    score = torch.tensor([1e4, 1e4 - 1, -1e4])
    weight = softmax_weight(score, (0,))
    torch.testing.assert_close(weight, softmax_weight(score - 1e4, (0,)))
    assert weight.isfinite().all() and weight[2] == 0


def test_weights_are_detached():
    score = torch.zeros(2, requires_grad=True)
    assert not softmax_weight(score, (0,)).requires_grad
    assert not log_partition(score).requires_grad
    assert not counterfactual_advantage(score, score, score[0]).requires_grad


def test_partition_by_hand_and_large():
    score, mass = torch.tensor([1.0, 3.0]), torch.tensor([0.25, 0.75])
    expected = math.log(0.25 * math.e + 0.75 * math.e**3)
    assert log_partition(score, mass.log()).item() == pytest.approx(expected)
    assert log_partition(torch.tensor([1e4, 1e4])).item() == pytest.approx(1e4)


def test_samples_of_the_behaviour_policy_estimate_its_partition_function():
    torch.manual_seed(0)
    score, mass = torch.randn(4, dtype=torch.float64), torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    drawn = score[torch.multinomial(mass, 200_000, replacement=True)]
    assert log_partition(drawn).item() == pytest.approx(log_partition(score, mass.log()).item(), abs=0.01)


def test_counterfactual_advantage_by_hand():
    value, probability = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0.5, 0.25, 0.25]])
    assert counterfactual_advantage(value, probability, torch.tensor([4.0])).item() == 2.0


def forward_sum(reward, weight, value, gamma, lmbda):
    """``Q_0 + sum_t (gamma lmbda)^t (r_t + gamma rho_{t+1} Q_{t+1} - Q_t)`` (ICQ, equation 20)."""
    total = value[0]
    for t in range(len(reward)):
        error = reward[t] + gamma * weight[t + 1] * value[t + 1] - value[t]
        total = total + (gamma * lmbda) ** t * error
    return total


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_lambda_return_equals_the_forward_sum_of_the_paper(steps, gamma, lmbda, seed):
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(steps, generator=generator, dtype=torch.float64)
    value, weight = torch.randn(2, steps + 1, generator=generator, dtype=torch.float64).unbind()
    alive, done = torch.zeros(2, steps, dtype=torch.bool).unbind()
    got = lambda_target(*(reward, weight[1:] * value[1:], alive, done, gamma, lmbda), next_baseline=value[1:])
    expected = forward_sum(reward, weight, value, gamma, lmbda)
    assert got[0].item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_released_recursion_subtracts_the_weighted_value(steps, gamma, lmbda, seed):
    """The released code's backward recursion is the same sum with ``rho_t Q_t`` in place of ``Q_t``."""
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(steps, generator=generator, dtype=torch.float64)
    weighted = torch.randn(steps + 1, generator=generator, dtype=torch.float64)
    alive, done = torch.zeros(2, steps, dtype=torch.bool).unbind()
    got = lambda_target(reward, weighted[1:], alive, done, gamma, lmbda)[0]
    backward = weighted[-1]
    for t in reversed(range(steps)):
        backward = lmbda * gamma * backward + reward[t] + (1 - lmbda) * gamma * weighted[t + 1]
    forward = forward_sum(reward, weighted.new_ones(steps + 1), weighted, gamma, lmbda)
    assert got.item() == pytest.approx(backward.item(), rel=1e-9, abs=1e-9)
    assert got.item() == pytest.approx(forward.item(), rel=1e-9, abs=1e-9)


def test_clipped_weight_by_hand_and_against_numpy():
    advantage = torch.tensor([-2.0, 0.0, math.log(3), 50.0, 1e30], requires_grad=True)
    found = clipped_exponential_weight(advantage, 0.5, 20.0)
    assert found.tolist() == pytest.approx([math.exp(-4), 1.0, 9.0, 20.0, 20.0])
    assert not found.requires_grad
    spread = np.random.default_rng(0).normal(scale=4, size=(5, 3))
    np.testing.assert_allclose(
        clipped_exponential_weight(torch.from_numpy(spread), 1.0).numpy(), np.minimum(np.exp(spread), 100)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([None, (0,), (0, 1)]))
def test_standardised_advantages_have_mean_zero_and_deviation_one(seed, dims):
    rng = np.random.default_rng(seed)
    advantage, valid = 5 + 3 * rng.normal(size=(8, 4, 2)), rng.random((8, 4, 2)) < 0.7
    valid[:2] = True
    found = standardise(
        torch.from_numpy(np.where(valid, advantage, np.nan)), torch.from_numpy(valid), dims=dims
    ).numpy()
    axes = (0, 1, 2) if dims is None else dims
    mean = np.mean(advantage, axes, keepdims=True, where=valid)
    std = np.std(advantage, axes, keepdims=True, where=valid)
    np.testing.assert_allclose(
        found, np.where(valid, (advantage - mean) / (std + 1e-5), 0), rtol=1e-9, atol=1e-12
    )


def test_standardising_nothing_or_equal_entries_gives_zeros():
    assert standardise(torch.full((3,), 7.0)).tolist() == [0, 0, 0]
    assert standardise(torch.full((2,), float("nan")), torch.zeros(2, dtype=torch.bool)).tolist() == [0, 0]
    assert not standardise(torch.ones(2, requires_grad=True)).requires_grad
