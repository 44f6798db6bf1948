"""What makes a network, as plain values."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.blueprints import BUILDERS, blueprint_of, build, rebuildable
from omiga_torchrl.modules import AgentMLP, make_actor
from omiga_torchrl.specs import TeamSpec

CONTINUOUS = TeamSpec(3, 5, 2, 7)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
GROUPS = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20, clipped=True), "buses": TeamSpec(1, 9, 4, 20)})
SPECS = {"continuous": CONTINUOUS, "discrete": DISCRETE, "groups": GROUPS}


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("memory", [None, 6])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_policies_of_every_algorithm_can_be_built_again(name: str, memory: int | None, kind: str) -> None:
    if SPECS[kind].kind not in ALGORITHMS[name].actions:
        pytest.skip("not defined for these actions")
    policy = make_algorithm(name, SPECS[kind], hidden_sizes=[8], rnn_hidden_size=memory).policy
    again = build(blueprint_of(policy))
    assert shapes(again) == shapes(policy) and str(again) == str(policy)


def test_copies_keep_their_blueprint() -> None:
    policy = make_actor(CONTINUOUS, hidden_sizes=[8], activation=nn.Tanh)
    for other in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):
        assert "Tanh" in str(build(blueprint_of(other)))


def test_networks_that_no_file_can_hold_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"got a Linear that no builder made\. Decorate"):
        blueprint_of(nn.Linear(1, 1))
    odd = make_actor(CONTINUOUS, activation=lambda: nn.ReLU())
    with pytest.raises(TypeError, match="got one of make_actor with activation = <function"):
        blueprint_of(odd)


def test_only_registered_builders_and_activations_are_called() -> None:
    with pytest.raises(ValueError, match=r"unknown builder 'os\.system'"):
        build({"kind": "network", "builder": "os.system", "arguments": {"command": "true"}})
    hidden = {"kind": "activation", "name": "Module.__init__"}
    with pytest.raises(ValueError, match=r"unknown activation of torch\.nn 'Module"):
        build({"kind": "network", "builder": "make_actor", "arguments": {"spec": hidden}})
    for other in ({"kind": "code"}, {"kind": "activation", "name": "ReLU"}):
        with pytest.raises(ValueError, match="a blueprint must be"):
            build(other)


def test_a_builder_of_ones_own_and_its_name() -> None:
    def make() -> nn.Module:
        return AgentMLP(2, 1, 3)

    make.__qualname__ = "make_actor"
    with pytest.raises(ValueError, match=r"'make_actor' is a builder of .*modules\.policies already"):
        rebuildable(make)
    make.__qualname__ = "mine"
    try:
        assert isinstance(build(blueprint_of(rebuildable(make)())), AgentMLP)
    finally:
        del BUILDERS["mine"]


def test_a_subclass_is_another_network() -> None:
    class Other(BUILDERS["ConditionalVAE"]):  # type: ignore[misc,name-defined]
        pass

    with pytest.raises(TypeError, match="a Other that no builder made"):
        blueprint_of(Other(CONTINUOUS))


def test_a_subclass_is_remembered_by_its_own_arguments():
    @rebuildable
    class Wide(nn.Linear):
        def __init__(self, size: int) -> None:
            super().__init__(size, 2 * size)

    @rebuildable
    class Wider(Wide):
        def __init__(self, size: int, times: int) -> None:
            super().__init__(size * times)

    class Unknown(Wide):
        pass

    try:
        assert blueprint_of(Wider(3, times=2))["arguments"] == {"size": 3, "times": 2}
        assert blueprint_of(Wide(3))["arguments"] == {"size": 3}
        with pytest.raises(TypeError, match="a Unknown that no builder made"):
            blueprint_of(Unknown(3))
    finally:
        for made in (Wide, Wider):
            del BUILDERS[made.__qualname__]
