from __future__ import annotations

import pytest
import torch
from torch import nn

from omiga_torchrl.modules import AgentLinear, AgentMLP, agent_network
from omiga_torchrl.specs import TeamSpec


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_shapes(share, batch):
    network = AgentMLP(5, 2, n_agents=3, hidden_sizes=(8,), share_params=share)
    assert network(torch.randn(*batch, 3, 4), torch.randn(*batch, 3, 1)).shape == (*batch, 3, 2)


def test_agent_id_tells_agents_apart_and_its_absence_does_not():
    same = torch.ones(1, 3, 5)
    torch.manual_seed(0)
    with_id = AgentMLP(5, 1, 3, hidden_sizes=(8,))(same).flatten()
    without = AgentMLP(5, 1, 3, hidden_sizes=(8,), agent_id=False)(same).flatten()
    assert (with_id.diff().abs() > 1e-4).all()
    assert (without.diff().abs() < 1e-6).all()


def test_without_id_permuting_agents_permutes_outputs():
    network = AgentMLP(5, 2, 3, hidden_sizes=(8,), agent_id=False)
    x, order = torch.randn(4, 3, 5), torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order])


def test_unshared_agents_have_weights_of_their_own():
    network = AgentMLP(5, 2, 3, hidden_sizes=(8,), share_params=False)
    x = torch.randn(4, 3, 5)
    network(x)[:, 1].sum().backward()
    touched = [p.grad.flatten(1).abs().sum(1) > 0 for p in network.parameters()]
    assert all(t.tolist() == [False, True, False] for t in touched)


def test_unshared_equals_a_loop_over_agents():
    network = AgentMLP(5, 2, 3, hidden_sizes=(8,), share_params=False)
    x = torch.randn(4, 3, 5)
    first, _, second = network.body
    for i in range(3):
        hidden = torch.relu(x[:, i] @ first.weight[i] + first.bias[i])
        torch.testing.assert_close(network(x)[:, i], hidden @ second.weight[i] + second.bias[i])


def test_wrong_agent_dimension_is_named():
    with pytest.raises(ValueError, match=r"AgentMLP: .*agents=3.*agent dimension at -2"):
        AgentMLP(5, 2, 3)(torch.randn(4, 2, 5))


@pytest.mark.parametrize("share", [True, False])
def test_normalised_hidden_layers_ignore_scale_and_shift_of_their_features(share):
    torch.manual_seed(0)
    network = AgentMLP(5, 2, 3, hidden_sizes=(8, 8), share_params=share, layer_norm=True)
    x = torch.randn(4, 3, 5)
    before = network(x)
    linear = [layer for layer in network.body if isinstance(layer, nn.Linear | AgentLinear)]
    assert len(linear) == 3 and len(network.body) == 7
    with torch.no_grad():
        for parameter in linear[0].parameters():
            parameter.mul_(100)
    torch.testing.assert_close(network(x), before, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        for parameter in linear[-1].parameters():
            parameter.mul_(100)
    torch.testing.assert_close(network(x), 100 * before, rtol=1e-3, atol=1e-2)  # the output is not normalised


def test_normalised_agents_with_weights_of_their_own_equal_a_loop_over_agents():
    network = AgentMLP(5, 2, 3, hidden_sizes=(8,), share_params=False, layer_norm=True)
    with torch.no_grad():
        for parameter in network.body[1].parameters():
            parameter.normal_()
    x = torch.randn(4, 3, 5)
    first, norm, _, second = network.body
    for i in range(3):
        features = x[:, i] @ first.weight[i] + first.bias[i]
        centred = features - features.mean(-1, keepdim=True)
        unit = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        out = torch.relu(unit * norm.weight[i] + norm.bias[i]) @ second.weight[i] + second.bias[i]
        torch.testing.assert_close(network(x)[:, i], out)


@pytest.mark.parametrize("share", [True, False])
def test_without_hidden_layers_there_is_nothing_to_normalise(share):
    network = AgentMLP(5, 2, 3, hidden_sizes=(), share_params=share, layer_norm=True)
    assert len(list(network.parameters())) == 2 and network(torch.randn(4, 3, 5)).shape == (4, 3, 2)


def test_networks_pass_layer_norm_on():
    network = agent_network(TeamSpec(3, 5, 2, 7), 1, "value", hidden_sizes=(8,), layer_norm=True)
    assert any(isinstance(part, nn.LayerNorm) for part in network.modules())


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_many_agents_get_what_their_ids_would_give(hidden, layer_norm):
    network = AgentMLP(3, 2, n_agents=20, hidden_sizes=hidden, layer_norm=layer_norm).double()
    x = torch.randn(7, 20, 3, dtype=torch.float64, requires_grad=True)
    with_ids = network.body(torch.cat([x, torch.eye(20, dtype=torch.float64).expand(7, 20, 20)], -1))
    torch.testing.assert_close(network(x), with_ids)
    learned = [x, *network.parameters()]
    expected = torch.autograd.grad(with_ids.square().sum(), learned)
    torch.testing.assert_close(torch.autograd.grad(network(x).square().sum(), learned), expected)
