from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from omiga_torchrl.modules import AgentMLP, PerturbedActions


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, observation, action):
        return torch.full_like(action, self.value)


def test_by_hand():
    # half the range is 2: 0.1 * 2 * tanh(1) = 0.15232
    perturb = PerturbedActions(Constant(1.0), 0.1, low=-1.0, high=3.0)
    found = perturb(torch.zeros(2, 1, 4), torch.tensor([[[0.5]], [[2.9]]]))
    assert found.flatten().tolist() == pytest.approx([0.65232, 3.0], abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.floats(0.01, 0.5))
def test_changes_stay_within_the_limit_and_the_bounds(seed, limit):
    torch.manual_seed(seed)
    perturb = PerturbedActions(AgentMLP(4 + 2, 2, 3, hidden_sizes=(8,)), limit, low=-0.5, high=2.0)
    action = torch.empty(6, 3, 2).uniform_(-0.5, 2.0)
    found = perturb(torch.randn(6, 3, 4), action)
    assert (found - action).abs().max() <= limit * 1.25 + 1e-6
    assert found.min() >= -0.5 and found.max() <= 2.0
    assert not found.equal(action)


def test_samples_are_perturbed_like_single_actions():
    perturb = PerturbedActions(AgentMLP(4 + 2, 2, 3, hidden_sizes=(8,)))
    observation, action = torch.randn(6, 3, 4), torch.rand(10, 6, 3, 2)
    found = perturb(observation, action)
    assert found.shape == action.shape
    for sample in range(10):
        torch.testing.assert_close(found[sample], perturb(observation, action[sample]))


def test_gradient_reaches_network_and_action():
    perturb = PerturbedActions(AgentMLP(4 + 2, 2, 3, hidden_sizes=(8,)))
    action = torch.zeros(5, 3, 2, requires_grad=True)
    perturb(torch.randn(5, 3, 4), action).sum().backward()
    assert (action.grad != 0).all()
    assert all(parameter.grad is not None for parameter in perturb.parameters())
