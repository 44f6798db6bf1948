from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omiga_torchrl import functional as F

FLOAT64 = {"dtype": torch.float64}


def test_scaled_advantage_by_hand():
    z = F.scaled_advantage(
        torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 4.0]]), 2.0
    )
    assert z.tolist() == [[0.5, -2.0]]


def test_value_loss_by_hand():
    # z = 2 (3 - 2) / 4 = 0.5;  exp(0.5) + 2 * 2 / 4
    loss = F.omiga_value_loss(torch.tensor([3.0]), torch.tensor([2.0]), torch.tensor([2.0]), 4.0)
    assert loss.item() == pytest.approx(math.exp(0.5) + 1.0)


def test_value_loss_against_numpy():
    rng = np.random.default_rng(0)
    q, v, w = rng.normal(size=(3, 7, 2))
    w = abs(w)
    expected = np.exp(w * (q - v) / 0.7) + w * v / 0.7
    got = F.omiga_value_loss(*map(torch.from_numpy, (q, v, w)), 0.7)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_value_loss_gradient_is_numerically_right_on_both_sides_of_the_cap():
    q = torch.tensor([0.1, 5.0], **FLOAT64)
    w = torch.tensor([1.0, 1.0], **FLOAT64)
    v = torch.tensor([0.3, 0.2], **FLOAT64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: F.omiga_value_loss(q, v, w, 1.0, max_exponent=2.0), v)


@pytest.mark.parametrize("z", [11.0, 100.0])
def test_overflow_linear_pushes_value_up_where_the_clamp_pushes_it_down(z):
    w = torch.ones(1)
    gradients = {}
    for clip_mode in ("linear", "clamp"):
        v = torch.zeros(1, requires_grad=True)
        F.omiga_value_loss(torch.tensor([z]), v, w, 1.0, clip_mode=clip_mode).sum().backward()
        gradients[clip_mode] = v.grad.item()
    assert gradients["linear"] < 0  # descent raises V towards Q
    assert gradients["clamp"] == 1.0  # descent lowers V: only the linear term is left


def test_capped_exp_is_continuous_with_its_gradient():
    cap = 3.0
    z = torch.tensor([cap - 1e-9, cap + 1e-9], **FLOAT64, requires_grad=True)
    value = F.capped_exp(z, cap)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    torch.testing.assert_close(value[0], value[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient[0], gradient[1], rtol=1e-6, atol=0)


def test_capped_exp_stays_finite():
    z = torch.tensor([1e30, 1e4, -1e30])
    assert F.capped_exp(z).isfinite().all()
    assert F.capped_exp(z, clip_mode="clamp").isfinite().all()


def test_policy_weight_is_detached():
    z = torch.zeros(2, requires_grad=True)
    assert not F.policy_weight(z).requires_grad


def test_batch_max_scale_is_floored_and_masked():
    z = torch.tensor([[0.5, -3.0], [12.0, 0.0]])
    assert F.batch_max_scale(z).item() == pytest.approx(math.exp(-10))  # 12 is clamped first
    valid = torch.tensor([[True, True], [False, True]])
    assert F.batch_max_scale(z, valid=valid).item() == pytest.approx(math.exp(-0.5))
    assert F.batch_max_scale(z - 20).item() == pytest.approx(math.exp(1))  # floor at -1
    assert not F.batch_max_scale(z.clone().requires_grad_()).requires_grad


@given(st.integers(1, 20), st.integers(0, 2**31))
def test_effective_sample_size_is_one_for_equal_and_one_over_n_for_single(n, seed):
    scale = torch.rand((), generator=torch.Generator().manual_seed(seed)) + 0.1
    assert F.effective_sample_size(torch.full((n,), scale.item())).item() == pytest.approx(1, rel=1e-5)
    single = torch.zeros(n)
    single[seed % n] = scale
    assert F.effective_sample_size(single).item() == pytest.approx(1 / n, rel=1e-5)


def test_effective_sample_size_ignores_masked_entries():
    weights = torch.tensor([1.0, 3.0, float("nan")])
    valid = torch.tensor([True, True, False])
    assert F.effective_sample_size(weights, valid).item() == pytest.approx(16 / 20)


def test_alpha_moves_towards_the_target():
    alpha = torch.tensor(2.0)
    assert F.updated_alpha(alpha, torch.tensor(1.0), target=0.5, rate=0.1).item() == pytest.approx(
        2 * math.exp(-0.05)
    )
    assert F.updated_alpha(alpha, torch.tensor(0.1)) > alpha


def test_kernels_refuse_a_trailing_dimension_in_test_runs():
    # The classic silent broadcast: [B] + [B, 1] -> [B, B].
    with pytest.raises(Exception, match=r"(?i)type|shape"):
        F.mix_linearly(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4, 1))
