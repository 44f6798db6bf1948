"""What a loss reads off its networks."""

from __future__ import annotations

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl import keys
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import TeamGRU, deterministic_actor, tanh_gaussian_actor
from omiga_torchrl.objectives.networks import (
    action_bounds,
    has_discrete_actions,
    network_that_writes,
    number_of_agents,
    parameter_dtype,
    prev_action_keys,
    require_actor_for_continuous,
    required_bounds,
)
from omiga_torchrl.specs import TeamSpec
from tests.objectives.small import (
    SmallLoss,
    continuous,
    continuous_qvalue,
    discrete,
    discrete_qvalue,
    gaussian_policy,
    network,
    policy,
    value,
)

SPEC = TeamSpec(3, 4, 2, 5, action_low=-2.0, action_high=3.0)
SMALL = {"hidden_sizes": (4,)}


def test_q_tells_the_kind_of_actions_or_else_the_policy():
    assert has_discrete_actions(SmallLoss(qvalue_network=discrete_qvalue()))
    assert not has_discrete_actions(SmallLoss(qvalue_network=continuous_qvalue()))
    assert has_discrete_actions(SmallLoss(actor_network=policy()))
    assert not has_discrete_actions(SmallLoss(actor_network=tanh_gaussian_actor(SPEC, **SMALL)))
    assert not has_discrete_actions(SmallLoss(actor_network=deterministic_actor(SPEC, **SMALL)))
    # Q before the policy.
    assert not has_discrete_actions(SmallLoss(actor_network=policy(), qvalue_network=continuous_qvalue()))


def test_groups_tell_their_own_kind():
    groups = {"a": TeamSpec(1, 4, 3, 5, discrete=True), "b": TeamSpec(2, 4, 2, 5, discrete=True)}
    assert has_discrete_actions(make_algorithm("bc", TeamSpec.from_groups(groups), **SMALL).loss)
    groups["b"] = TeamSpec(2, 4, 2, 5)
    with pytest.raises(ValueError, match=r"discrete differs between groups"):
        has_discrete_actions(make_algorithm("bc", TeamSpec.from_groups(groups), **SMALL).loss)


@pytest.mark.parametrize("actor", [tanh_gaussian_actor, deterministic_actor])
def test_bounds_are_those_of_a_distribution_or_of_a_module(actor):
    loss = SmallLoss(actor_network=actor(SPEC, **SMALL))
    assert [float(bound) for bound in action_bounds(loss)] == [-2.0, 3.0]
    assert [float(bound) for bound in required_bounds(loss)] == [-2.0, 3.0]


def test_bounds_of_the_policy_come_before_those_of_the_model():
    wide = TeamSpec(3, 4, 2, 5, action_low=-9.0, action_high=9.0)
    model = deterministic_actor(wide, **SMALL)
    both = SmallLoss(behavior_network=model, actor_network=deterministic_actor(SPEC, **SMALL))
    assert [float(bound) for bound in action_bounds(both)] == [-2.0, 3.0]
    only_model = SmallLoss(behavior_network=model, actor_network=policy())
    assert [float(bound) for bound in action_bounds(only_model)] == [-9.0, 9.0]


def test_bounds_of_each_feature_are_tensors():
    spec = TeamSpec(3, 4, 2, 5, action_low=(-1.0, -2.0), action_high=(1.0, 3.0))
    low, high = action_bounds(SmallLoss(actor_network=deterministic_actor(spec, **SMALL)))
    assert low.tolist() == [-1.0, -2.0] and high.tolist() == [1.0, 3.0]


def test_bounds_of_groups_are_of_every_agent():
    groups = {"a": TeamSpec(1, 4, 1, 5, action_low=-2.0, action_high=2.0), "b": TeamSpec(2, 4, 2, 5)}
    low, high = action_bounds(make_algorithm("bc", TeamSpec.from_groups(groups), **SMALL).loss)
    assert low.tolist() == [[-2.0, 0.0], [-1.0, -1.0], [-1.0, -1.0]]
    assert high.tolist() == [[2.0, 0.0], [1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("marks", [{}, {"low": -1.0}, {"high": 1.0}, {"low": "a", "high": 1.0}])
def test_networks_may_tell_no_bounds(marks):
    actor = network(lambda o: o, [keys.OBSERVATION], keys.ACTION)
    for name, bound in marks.items():
        setattr(actor.module, name, bound)
    loss = SmallLoss(actor_network=actor)
    assert action_bounds(loss) is None and action_bounds(SmallLoss(value_network=value())) is None
    with pytest.raises(ValueError, match=r"SmallLoss: actor_network must tell the bounds.*got none"):
        required_bounds(loss)


@pytest.mark.parametrize("told", [{"low": -1.0}, {"high": 1.0}])
def test_one_bound_of_a_distribution_is_none(told):
    actor = gaussian_policy()
    assert action_bounds(SmallLoss(actor_network=actor)) is None
    actor[-1].distribution_kwargs = told
    assert action_bounds(SmallLoss(actor_network=actor)) is None
    actor[-1].distribution_kwargs = {"low": -1.0, "high": 2.0}
    assert action_bounds(SmallLoss(actor_network=actor)) == (-1.0, 2.0)


def test_the_number_of_agents_if_networks_tell():
    assert number_of_agents(SmallLoss(actor_network=deterministic_actor(SPEC, **SMALL))) == 3
    assert number_of_agents(continuous()) is None
    odd = value()
    odd.module.n_agents = "many"
    assert number_of_agents(SmallLoss(value_network=odd)) is None
    both = SmallLoss(value_network=odd, actor_network=deterministic_actor(SPEC, **SMALL))
    assert number_of_agents(both) == 3


def test_dtype_of_parameters():
    assert parameter_dtype(continuous()) == torch.float32
    assert parameter_dtype(continuous().double()) == torch.float64


def test_which_network_writes_an_entry():
    loss = discrete()
    assert network_that_writes(loss, keys.LOCAL_VALUE) == "value_network"
    assert network_that_writes(loss, keys.LOCAL_QVALUE) == "qvalue_network"
    twice = SmallLoss(value_network=value(), behavior_network=value())
    assert network_that_writes(twice, keys.LOCAL_VALUE) == "value_network"
    with pytest.raises(
        ValueError, match=r"SmallLoss: one of qvalue_network, .* must write 'mixer_bias', got none"
    ):
        network_that_writes(loss, "mixer_bias")


def test_previous_actions_are_what_memories_read_behind_the_observation():
    memory = TeamGRU(TeamSpec(3, 4, 2, 5), size=4, name="team")
    both = nn.ModuleList([memory, TeamGRU(TeamSpec(3, 4, 2, 5), size=4, name="other")])
    assert prev_action_keys(memory) == memory.in_keys[1:] and len(prev_action_keys(memory)) > 0
    assert prev_action_keys(both) == [*memory.in_keys[1:], *both[1].in_keys[1:]]
    assert prev_action_keys(value()) == []


def test_a_policy_where_q_reads_its_action_and_nowhere_else():
    require_actor_for_continuous("CQLLoss", None, discrete_qvalue())
    require_actor_for_continuous("CQLLoss", deterministic_actor(SPEC, **SMALL), continuous_qvalue())
    with pytest.raises(ValueError, match=r"CQLLoss: actor_network must be a policy.*got None"):
        require_actor_for_continuous("CQLLoss", None, continuous_qvalue())
    renamed = TensorDictModule(nn.Identity(), [("robots", "action")], [("robots", "q")])
    with pytest.raises(ValueError, match=r"must be a policy"):
        require_actor_for_continuous("CQLLoss", None, renamed)
    with pytest.raises(ValueError, match=r"CQLLoss: actor_network must be None.*got one"):
        require_actor_for_continuous("CQLLoss", deterministic_actor(SPEC, **SMALL), discrete_qvalue())
