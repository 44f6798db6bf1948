from __future__ import annotations

import pytest
import torch

from omiga_torchrl.modules import AgentMLP


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_shapes(share, batch):
    network = AgentMLP(5, 2, n_agents=3, hidden=(8,), share_parameters=share)
    assert network(torch.randn(*batch, 3, 4), torch.randn(*batch, 3, 1)).shape == (*batch, 3, 2)


def test_agent_id_tells_agents_apart_and_its_absence_does_not():
    same = torch.ones(1, 3, 5)
    torch.manual_seed(0)
    with_id = AgentMLP(5, 1, 3, hidden=(8,))(same).flatten()
    without = AgentMLP(5, 1, 3, hidden=(8,), agent_id=False)(same).flatten()
    assert (with_id.diff().abs() > 1e-4).all()
    assert (without.diff().abs() < 1e-6).all()


def test_without_id_permuting_agents_permutes_outputs():
    network = AgentMLP(5, 2, 3, hidden=(8,), agent_id=False)
    x, order = torch.randn(4, 3, 5), torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order])


def test_unshared_agents_have_weights_of_their_own():
    network = AgentMLP(5, 2, 3, hidden=(8,), share_parameters=False)
    x = torch.randn(4, 3, 5)
    network(x)[:, 1].sum().backward()
    touched = [p.grad.flatten(1).abs().sum(1) > 0 for p in network.parameters()]
    assert all(t.tolist() == [False, True, False] for t in touched)


def test_unshared_equals_a_loop_over_agents():
    network = AgentMLP(5, 2, 3, hidden=(8,), share_parameters=False)
    x = torch.randn(4, 3, 5)
    first, _, second = network.body
    for i in range(3):
        hidden = torch.relu(x[:, i] @ first.weight[i] + first.bias[i])
        torch.testing.assert_close(network(x)[:, i], hidden @ second.weight[i] + second.bias[i])


def test_wrong_agent_dimension_is_named():
    with pytest.raises(ValueError, match=r"AgentMLP: .*agents=3.*agent dimension at -2"):
        AgentMLP(5, 2, 3)(torch.randn(4, 2, 5))
