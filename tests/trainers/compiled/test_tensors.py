"""All tensors of a loss, each once, and others in their place for a while."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers.compiled.tensors import LossTensors
from tests.trainers.toy import ToyLoss


class Shared(nn.Module):
    """Two layers with one bias, a buffer, one that is None, and a child that is None."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 1), nn.Linear(3, 1)
        self.two.bias = self.one.bias
        self.register_buffer("count", torch.tensor(3.0))
        self.register_buffer("none", None)
        self.register_parameter("nothing", None)
        self.register_module("child", None)


def test_every_tensor_is_there_once_in_a_fixed_order() -> None:
    loss = Shared()
    known = LossTensors(loss)
    expected = [loss.count, loss.one.weight, loss.one.bias, loss.two.weight]
    assert [id(value) for value in known.tensors] == [id(value) for value in expected]
    assert [known.index(value) for value in expected] == [0, 1, 2, 3]
    with pytest.raises(KeyError):
        known.index(torch.ones(1))


def test_others_take_their_place_and_go_again() -> None:
    loss = Shared()
    known = LossTensors(loss)
    before = [value.clone() for value in known.tensors]
    given = [torch.full_like(value, float(place)) for place, value in enumerate(known.tensors)]
    with known.replaced_by(given):
        assert loss.count == 0 and loss.one.weight is given[1]
        assert loss.one.bias is loss.two.bias is given[2] and loss.two.weight is given[3]
        loss.count += 5
    assert loss.count == 3 and given[0] == 5
    assert all(torch.equal(one, other) for one, other in zip(known.tensors, before, strict=True))
    assert loss.one.weight is known.tensors[1] and isinstance(loss.one.weight, nn.Parameter)
    assert loss.two.bias is loss.one.bias is known.tensors[2]


def names(loss: nn.Module) -> list[str]:
    return [name for name, _ in loss.named_modules()]


def test_functional_networks_and_their_targets_are_replaced_too() -> None:
    loss = ToyLoss()
    ForeachSoftUpdate(loss, tau=0.1)
    known = LossTensors(loss)
    assert len(known.tensors) == 16  # two networks, two layers, weight and bias, and their targets
    ids = {id(value) for value in known.tensors}
    assert {id(value) for value in loss.parameters()} < ids
    listed, tree = names(loss), loss.a_network_params
    given = [torch.full_like(value, 2.0) for value in known.tensors]
    with known.replaced_by(given):
        assert loss.a_network_params is not tree
        for params in (loss.a_network_params, loss.target_b_network_params):
            assert all((value == 2).all() for value in params.values(True, True))
    assert loss.a_network_params is tree and names(loss) == listed
    assert {id(value) for value in LossTensors(loss).tensors} == ids


def test_an_error_inside_puts_all_back() -> None:
    loss = ToyLoss()
    ForeachSoftUpdate(loss, tau=0.1)
    known, listed, tree = LossTensors(loss), names(loss), loss.target_a_network_params
    with pytest.raises(RuntimeError, match="inside"), known.replaced_by([x + 1 for x in known.tensors]):
        raise RuntimeError("inside")
    assert loss.target_a_network_params is tree and names(loss) == listed
    assert list(loss._modules) == list(ToyLoss()._modules)
