from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import lambda_target, mix_linearly, one_step_target


def test_one_step_by_hand():
    target = one_step_target(
        torch.tensor([1.0, 1.0]), torch.tensor([10.0, 10.0]), torch.tensor([False, True]), 0.9
    )
    assert target.tolist() == pytest.approx([10.0, 1.0])


def test_lambda_by_hand_over_a_time_out_and_a_termination():
    reward = torch.tensor([1.0, 2.0, 3.0, 4.0])
    value = torch.tensor([10.0, 20.0, 30.0, 40.0])
    terminated = torch.tensor([False, False, False, True])
    done = torch.tensor([False, True, False, True])
    # y3 = 4;  y2 = 3 + .5 (.5 * 30 + .5 * 4) = 11.5;  y1 = 2 + .5 * 20 (time-out);  y0 = 1 + .5 (5 + 6)
    target = lambda_target(reward, value, terminated, done, 0.5, 0.5)
    assert target.tolist() == pytest.approx([6.5, 12.0, 11.5, 4.0])


def test_lambda_with_a_baseline_that_is_not_the_value():
    reward, value = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    baseline, no = torch.tensor([4.0, 8.0]), torch.zeros(2, dtype=torch.bool)
    # The last step has no trace: y1 = 2 + .5 * 20 = 12;  y0 = 1 + .5 (10 + .5 (12 - 4)) = 8
    target = lambda_target(reward, value, no, no, 0.5, 0.5, baseline)
    assert target.tolist() == pytest.approx([8.0, 12.0])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_lambda_equals_the_forward_sum_of_n_step_returns(steps, gamma, lmbda, seed):
    generator = torch.Generator().manual_seed(seed)
    reward, value = torch.randn(2, steps, generator=generator, dtype=torch.float64)
    terminated = torch.rand(steps, generator=generator) < 0.2
    done = terminated | (torch.rand(steps, generator=generator) < 0.2)
    done[-1] = True
    end = int(done.nonzero()[0])  # the first sequence
    n_step, discount, total, weight = [], 1.0, 0.0, 1.0
    for t in range(end + 1):
        total += discount * reward[t]
        discount *= gamma * (not terminated[t])
        n_step.append(total + discount * value[t])
    expected = 0.0
    for n, value_n in enumerate(n_step):
        last = n == len(n_step) - 1
        expected += weight * (1.0 if last else 1 - lmbda) * value_n
        weight *= lmbda
    got = lambda_target(reward, value, terminated, done, gamma, lmbda)[0]
    assert got.item() == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def test_lambda_zero_is_one_step():
    reward, value = torch.randn(2, 4, 6)
    terminated = torch.rand(4, 6) < 0.3
    torch.testing.assert_close(
        lambda_target(reward, value, terminated, terminated, 0.9, 0.0),
        one_step_target(reward, value, terminated, 0.9),
    )


def test_targets_carry_no_gradient():
    value = torch.ones(3, requires_grad=True)
    no = torch.zeros(3, dtype=torch.bool)
    assert not one_step_target(torch.ones(3), value, no, 0.9).requires_grad
    assert not lambda_target(torch.ones(3), value, no, no, 0.9, 0.5).requires_grad


def test_mixing_by_hand_and_vdn():
    local = torch.tensor([[1.0, 2.0]])
    weight, bias = torch.tensor([[3.0, 0.5]]), torch.tensor([1.0])
    assert mix_linearly(local, weight, bias).tolist() == [5.0]
    assert mix_linearly(local, torch.ones(1, 2), torch.zeros(1)).tolist() == [3.0]


def test_mixing_gradients():
    inputs = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    bias = torch.randn(2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mix_linearly, (*inputs, bias))
