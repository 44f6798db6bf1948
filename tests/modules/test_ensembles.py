from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictParams
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.objectives.common import LossModule

from omiga_torchrl import keys
from omiga_torchrl.functional import ensemble_minimum
from omiga_torchrl.modules import AgentMLP, Ensemble, first_member_view, qvalue_ensemble
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(3, 5, 2, 7)


def make(out=1):
    return AgentMLP(5 + 2, out, 3, hidden_sizes=(8,))


def module(size=2):
    return TensorDictModule(
        Ensemble(make, size), in_keys=[keys.OBSERVATION, keys.ACTION], out_keys=[keys.LOCAL_QVALUE]
    )


class Critic(LossModule):
    """What the losses of the library do with a network."""

    qvalue_network: TensorDictModule
    qvalue_network_params: TensorDictParams
    target_qvalue_network_params: TensorDictParams

    def __init__(self, network):
        super().__init__()
        self.convert_to_functional(network, "qvalue_network", create_target_params=True)

    def forward(self, data, *, target=False):
        params = self.target_qvalue_network_params if target else self.qvalue_network_params
        with params.to_module(self.qvalue_network, preserve_module_state=False):
            return self.qvalue_network(data.copy())[keys.LOCAL_QVALUE]


@pytest.mark.parametrize("out", [1, 4])
def test_members_are_stacked_last_and_in_order(out):
    ensemble = Ensemble(lambda: make(out), 3)
    observation, action = torch.randn(2, 6, 3, 5), torch.randn(2, 6, 3, 2)
    values = ensemble(observation, action)
    assert values.shape == (2, 6, 3, out, 3)
    for index, member in enumerate(ensemble.members):
        assert values[..., index].equal(member(observation, action))
    assert ensemble_minimum(values).shape == (2, 6, 3, out)


def test_members_are_drawn_independently_and_keep_their_own_initialisation():
    def orthogonal():
        network = nn.Linear(6, 6)
        nn.init.orthogonal_(network.weight)
        return network

    torch.manual_seed(0)
    one, two = Ensemble(orthogonal, 2).members
    assert not one.weight.allclose(two.weight)
    for member in (one, two):
        torch.testing.assert_close(member.weight @ member.weight.T, torch.eye(6), atol=1e-5, rtol=0)


def test_every_parameter_is_in_the_state():
    first, second = Ensemble(make, 2), Ensemble(make, 2)
    assert len(list(first.parameters())) == 2 * len(list(make().parameters()))
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(4, 3, 5), torch.randn(4, 3, 2)
    assert first(*inputs).equal(second(*inputs))


def test_members_get_gradients_of_their_own_values_only():
    ensemble = Ensemble(make, 2)
    ensemble(torch.randn(4, 3, 5), torch.randn(4, 3, 2))[..., 1].sum().backward()
    assert all((parameter.grad == 0).all() for parameter in ensemble.members[0].parameters())
    assert any((parameter.grad != 0).any() for parameter in ensemble.members[1].parameters())


def test_in_a_loss_online_and_target_parameters_differ():
    torch.manual_seed(0)
    network, data = module(), SPEC.fake_batch(6)
    expected = network(data.copy())[keys.LOCAL_QVALUE].detach()
    loss = Critic(network)
    updater = ForeachSoftUpdate(loss, tau=0.5)
    assert expected.shape == (6, 3, 1, 2)
    assert loss(data).equal(expected) and loss(data, target=True).equal(expected)

    loss(data).square().mean().backward()
    assert all(parameter.grad is not None for parameter in loss.parameters())
    # the loss trains the parameters of the network itself
    torch.optim.SGD(network.parameters(), 0.1).step()
    online = loss(data)
    assert not online.allclose(expected)
    assert loss(data, target=True).equal(expected)
    assert network(data.copy())[keys.LOCAL_QVALUE].equal(online)

    targets = [target.clone() for target in loss.target_qvalue_network_params.values(True, True)]
    updater.step()
    sources = loss.qvalue_network_params.values(True, True)
    for before, source, after in zip(
        targets, sources, loss.target_qvalue_network_params.values(True, True), strict=True
    ):
        torch.testing.assert_close(after, (before + source.detach()) / 2)
    assert not loss(data, target=True).requires_grad


def test_parameters_go_round_through_a_tensordict():
    first, second = module(), module()
    data = SPEC.fake_batch(4)
    params = TensorDictParams(TensorDict.from_module(first), no_convert=True)
    with params.to_module(second):
        swapped = second(data.copy())[keys.LOCAL_QVALUE]
    assert swapped.equal(first(data.copy())[keys.LOCAL_QVALUE])
    assert not swapped.equal(second(data.copy())[keys.LOCAL_QVALUE])


def test_a_view_is_the_first_member_and_leaves_the_network_as_it_is():
    network, data = module(3), SPEC.fake_batch(4)
    whole = network(data.copy())[keys.LOCAL_QVALUE]
    view = first_member_view(network)
    found = view(data.copy())[keys.LOCAL_QVALUE]
    assert found.equal(whole[..., :1]) and network(data.copy())[keys.LOCAL_QVALUE].equal(whole)
    assert view.in_keys == network.in_keys and list(view.state_dict()) == list(network.state_dict())
    assert all(mine is theirs for mine, theirs in zip(view.parameters(), network.parameters(), strict=True))
    found.sum().backward()
    counted = [all(p.grad is not None for p in member.parameters()) for member in network.module.members]
    assert counted == [True, False, False]


def test_a_view_of_a_network_without_ensembles_is_the_network():
    assert first_member_view(single := make()) is single


def test_a_view_finds_ensembles_behind_memories():
    network = qvalue_ensemble(SPEC, 2, hidden_sizes=(8,), rnn_hidden_size=4)
    data = SPEC.fake_batch(4)
    data["agents", "last_action"] = torch.zeros(4, 3, 2)
    whole = network(data.copy())[keys.LOCAL_QVALUE]
    assert first_member_view(network)(data.copy())[keys.LOCAL_QVALUE].equal(whole[..., :1])


def test_a_view_takes_the_parameters_of_the_whole_network():
    loss, data = Critic(module()), SPEC.fake_batch(6)
    ForeachSoftUpdate(loss, tau=0.5)
    view = first_member_view(loss.qvalue_network)
    with torch.no_grad():
        for target in loss.target_qvalue_network_params.values(True, True):
            target.add_(0.1)
    for target in (False, True):
        params = loss.target_qvalue_network_params if target else loss.qvalue_network_params
        with params.to_module(view, preserve_module_state=False):
            found = view(data.copy())[keys.LOCAL_QVALUE]
        assert found.equal(loss(data, target=target)[..., :1])
    stacked = torch.stack([TensorDict.from_module(module()) for _ in range(3)])

    def value(params, network):
        with params.to_module(network):
            return network(data.copy())[keys.LOCAL_QVALUE]

    found = torch.vmap(lambda params: value(params, view))(stacked)
    whole = torch.vmap(lambda params: value(params, loss.qvalue_network))(stacked)
    torch.testing.assert_close(found, whole[..., :1])


def test_a_view_compiles_with_parameters_of_the_loss(compiles):
    loss = Critic(module())
    ForeachSoftUpdate(loss, tau=0.5)
    view = first_member_view(loss.qvalue_network)

    def value(data):
        with loss.target_qvalue_network_params.to_module(view, preserve_module_state=False):
            return view(data.copy())[keys.LOCAL_QVALUE]

    compiled = compiles(value)
    for size in (6, 4):
        data = SPEC.fake_batch(size)
        assert compiled(data).equal(loss(data, target=True)[..., :1])


def test_a_view_evaluates_one_member():
    class Counting(nn.Linear):
        def forward(self, x):
            calls.append(1)
            return super().forward(x)

    calls: list[int] = []
    first_member_view(Ensemble(lambda: Counting(3, 1), 5))(torch.zeros(2, 3))
    assert len(calls) == 1


def test_mistakes_are_named():
    single = make()
    with pytest.raises(ValueError, match=r"Ensemble: 2 members of 1 different modules.*new module"):
        Ensemble(lambda: single, 2)
    with pytest.raises(ValueError, match=r"Ensemble: size is 0; expected at least 1"):
        Ensemble(make, 0)
