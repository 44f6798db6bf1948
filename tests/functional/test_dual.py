from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.functional import dual_loss, projected_log_alpha, td3_bc_lambda


def test_dual_loss_by_hand():
    log_alpha = torch.tensor(math.log(2.0), requires_grad=True)
    loss = dual_loss(log_alpha, torch.tensor([5.0, 1.0]), 4.0)
    assert loss.tolist() == pytest.approx([-2.0, 6.0])
    loss[0].backward()
    assert log_alpha.grad.item() == pytest.approx(-2.0)


@settings(deadline=None, max_examples=30)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(-3, 3))
def test_descent_raises_alpha_exactly_while_the_constraint_is_violated(value, threshold, start):
    log_alpha = torch.tensor(start, requires_grad=True)
    constraint = torch.tensor(value, requires_grad=True)
    dual_loss(log_alpha, constraint, threshold).backward()
    violation = torch.tensor(value) - threshold
    assert (-log_alpha.grad).sign() == violation.sign()
    assert constraint.grad is None


def test_dual_ascent_finds_the_constrained_optimum():
    """min (x - 3)^2 with x <= 1: x = 1 and alpha = 4."""
    x, log_alpha = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([x, log_alpha], 0.01)
    for _ in range(1500):
        optimizer.zero_grad()
        primal = (x - 3).square() + log_alpha.exp().detach() * x
        (primal + dual_loss(log_alpha, x, 1.0)).backward()
        optimizer.step()
    assert x.item() == pytest.approx(1, abs=0.02)
    assert log_alpha.exp().item() == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(
    ("alpha", "violation", "value", "gradient"),
    [(3.0, 1.0, 3.0, 1.0), (3.0, -1.0, 3.0, 1.0), (5.0, 1.0, 4.0, 0.0), (5.0, -1.0, 4.0, 1.0)],
)
def test_projected_log_alpha_is_bounded_and_learns_only_inwards(alpha, violation, value, gradient):
    log_alpha = torch.tensor(math.log(alpha), requires_grad=True)
    bounded = projected_log_alpha(log_alpha, torch.tensor(violation), 4.0)
    assert bounded.exp().item() == pytest.approx(value)
    assert torch.autograd.grad(bounded, log_alpha)[0].item() == gradient


def test_a_bounded_multiplier_stays_and_comes_back():
    """Adam on a constraint that is violated at first: alpha stays near its bound, then falls."""
    log_alpha = torch.zeros((), requires_grad=True)
    optimizer, path = torch.optim.Adam([log_alpha], 0.1), []
    for step in range(120):
        constraint = torch.tensor(2.0 if step < 60 else 0.0)
        optimizer.zero_grad()
        dual_loss(projected_log_alpha(log_alpha, constraint - 1, 2.0), constraint, 1.0).backward()
        optimizer.step()
        path.append(log_alpha.exp().item())
    assert 2 <= path[40] < 6 and path[59] < path[40] + 0.3  # momentum ends, and beyond it does not count
    assert path[-1] < 1


def test_one_multiplier_per_agent():
    log_alpha = torch.zeros(2, requires_grad=True)
    dual_loss(log_alpha, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 2.0).mean(0).sum().backward()
    assert log_alpha.grad.tolist() == [0, -1]


def test_td3_bc_lambda_by_hand_and_masked():
    qvalue = torch.tensor([[-1.0, 2.0], [3.0, float("nan")]], requires_grad=True)
    mask = torch.tensor([[True, True], [True, False]])
    assert td3_bc_lambda(qvalue[:1], 3.0).item() == 2.0
    found = td3_bc_lambda(qvalue, 3.0, mask)
    assert found.item() == 1.5 and not found.requires_grad
    assert td3_bc_lambda(qvalue, mask=torch.zeros_like(mask)).item() == 0
    assert td3_bc_lambda(torch.zeros(3)).isfinite()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_objective_does_not_depend_on_the_unit_of_return(seed, unit):
    qvalue = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(td3_bc_lambda(unit * qvalue) * unit * qvalue, td3_bc_lambda(qvalue) * qvalue)


def test_undetached_the_objective_of_positive_values_would_have_no_gradient():
    qvalue = torch.tensor([1.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad((2.5 * qvalue / qvalue.abs().mean()).mean(), qvalue)
    torch.testing.assert_close(gradient, torch.zeros(2))
    (gradient,) = torch.autograd.grad((td3_bc_lambda(qvalue) * qvalue).mean(), qvalue)
    assert (gradient > 0.5).all()
