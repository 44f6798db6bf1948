from __future__ import annotations

import pytest
import torch

from omiga_torchrl.functional import (
    cql_actor_loss,
    omar_actor_loss,
    smoothed_action,
    td3_bc_actor_loss,
    td3_bc_lambda,
)


def test_cql_by_hand_with_gradients_to_value_and_density():
    q, log_prob = torch.tensor([2.0], requires_grad=True), torch.tensor([-3.0], requires_grad=True)
    loss = cql_actor_loss(q, log_prob, 0.25)
    loss.backward()
    assert loss.item() == -2.75 and q.grad.item() == -1 and log_prob.grad.item() == 0.25


def test_td3_bc_by_hand():
    """lambda = 3 / mean(1, 2) of the entries that count; squares are means over the two features."""
    q = torch.tensor([1.0, -2.0, 50.0], requires_grad=True)
    action = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], requires_grad=True)
    data_action = torch.tensor([[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    loss = td3_bc_actor_loss(q, action, data_action, 3.0, torch.tensor([True, True, False]))
    assert loss.tolist() == [2.5 - 2.0, 4.0, -100.0]
    loss[0].backward()
    assert q.grad.tolist() == [-2.0, 0.0, 0.0]  # lambda is detached
    assert action.grad[0].tolist() == [1.0, -2.0]


def test_td3_bc_without_weight_is_cloning():
    q, action = torch.randn(5), torch.randn(5, 2)
    torch.testing.assert_close(td3_bc_actor_loss(q, action, 0 * action, 0.0), action.square().mean(-1))
    assert td3_bc_lambda(q, 0.0) == 0


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 4.0)])
def test_omar_by_hand_in_units_of_half_the_range(low, high):
    middle, half_range = (low + high) / 2, (high - low) / 2
    q = torch.tensor([3.0], requires_grad=True)
    action = torch.tensor([[middle + 0.5 * half_range, middle]], requires_grad=True)
    best = torch.tensor([[middle + half_range, middle]], requires_grad=True)
    loss = omar_actor_loss(q, action, best, 0.75, 0.4, low=low, high=high)
    # 0.75 * (0.25 + 0) / 2 - 0.25 * 3 + 0.4 * (0.25 + 0) / 2
    assert loss.item() == pytest.approx(0.09375 - 0.75 + 0.05)
    loss.backward()
    assert best.grad is None and q.grad.item() == -0.25
    assert action.grad[0, 0].item() * half_range == pytest.approx(0.75 * -0.5 + 0.4 * 0.5)


def test_noise_is_clipped_and_then_the_action():
    action, noise = torch.tensor([0.0, 0.0, 1.5, 0.1]), torch.tensor([1.0, -9.0, 9.0, 0.0])
    found = smoothed_action(action, noise, 0.25, 0.5, low=-2.0, high=2.0)  # half a range is 2
    assert found.tolist() == pytest.approx([0.5, -1.0, 2.0, 0.1])
