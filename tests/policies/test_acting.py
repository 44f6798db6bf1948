"""`act`: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.policies import TeamPolicy
from tests.policies.cases import CONTINUOUS, DISCRETE, GROUPS, SPECS, arrays_of, make_policy


def as_tensordict(arrays, spec):
    """The same inputs as an environment gives them."""
    found = {}
    for name, key in (("observations", "observation"), ("action_mask", "action_mask")):
        values = arrays.get(name, {})
        for group, value in (values if isinstance(values, dict) else {"agents": values}).items():
            value = torch.as_tensor(value)
            found[group, key] = value.float() if value.is_floating_point() else value
    return TensorDict(found, [4])


@pytest.mark.parametrize("kind", SPECS)
def test_it_acts_as_in_an_environment(kind):
    policy = make_policy("bc", SPECS[kind])
    arrays = arrays_of(policy, 4)
    actions, state = policy.act(**arrays)
    assert state == {}
    with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
        data = policy(as_tensordict(arrays, policy.team))
    for group in policy.team.groups:
        own = actions[group] if isinstance(actions, dict) else actions
        np.testing.assert_array_equal(own, data[group, "action"].numpy())


def test_actions_are_within_bounds_and_masks():
    actions, _ = make_policy("bc", CONTINUOUS).act(100 * np.ones((7, 3, 5)))
    assert (actions >= -2).all() and (actions <= [0.5, 3.0]).all() and actions.dtype == np.float32
    policy = make_policy("cql", DISCRETE)
    arrays = arrays_of(policy, 50)
    actions, _ = policy.act(**arrays)
    assert np.take_along_axis(arrays["action_mask"], actions[..., None], -1).all()
    assert actions.dtype == np.int64


@pytest.mark.parametrize("kind", SPECS)
def test_state_is_explicit(kind):
    policy = make_policy("bc", SPECS[kind], rnn_hidden_size=6)
    first, second = arrays_of(policy, 4, seed=1), arrays_of(policy, 4, seed=2)
    _, state = policy.act(**first)
    assert state.keys() == policy.initial_state(4).keys()
    fresh = policy.act(**second)
    follows = policy.act(**second, state=state)
    again = policy.act(**second, state=state)  # nothing is kept inside
    restarted = {name: value.copy() for name, value in state.items()}
    for name, value in policy.initial_state(4).items():
        restarted[name][0] = value[0]
    partly = policy.act(**second, state=restarted)
    memory = next(name for name in state if name.endswith("memory"))
    assert np.array_equal(follows[1][memory], again[1][memory])
    assert not np.array_equal(fresh[1][memory], follows[1][memory])
    np.testing.assert_allclose(partly[1][memory][0], fresh[1][memory][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(partly[1][memory][1:], follows[1][memory][1:], rtol=1e-5, atol=1e-6)


def test_one_environment_needs_no_batch_dimension():
    for policy in (make_policy("bc", CONTINUOUS, rnn_hidden_size=6), make_policy("bc", CONTINUOUS)):
        observation = arrays_of(policy, 1)["observations"]
        batched, one = policy.act(observation), policy.act(observation[0])
        assert one[0].shape == (3, 2)
        np.testing.assert_array_equal(batched[0][0], one[0])
        assert all(np.array_equal(one[1][name], value[0]) for name, value in batched[1].items())
        assert policy.initial_state().keys() == one[1].keys()


def test_mode():
    policy = make_policy("bc", CONTINUOUS)
    observation = np.zeros((3, 5))
    assert np.array_equal(policy.act(observation)[0], policy.act(observation)[0])
    policy.mode = "stochastic"
    assert not np.array_equal(policy.act(observation)[0], policy.act(observation)[0])


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (
            CONTINUOUS,
            (np.zeros((3, 4)),),
            r"observation must have the shape \(3, 5\), got .*\(3, 4\)",
        ),
        (CONTINUOUS, (np.zeros((2, 3, 4)),), r"must have the shape \(2, 3, 5\), got the shape \(2, 3, 4\)"),
        (CONTINUOUS, (np.zeros((3, 5)), None, np.ones((3, 4))), r"action_mask must be .*Leave it out"),
        (DISCRETE, (np.zeros((3, 5)),), r"action_mask must have the shape \(3, 4\), got none"),
        (GROUPS, (np.zeros((3, 5)),), r"observation must be arrays by group for cars, buses"),
        (
            GROUPS,
            ({"cars": np.zeros((2, 6)), "bus": np.zeros((1, 4))},),
            r"observation must be of .* cars, buses, got bus\.",
        ),
        (GROUPS, ({"cars": np.zeros((2, 6))},), r"buses\.observation must have the shape .* got none"),
    ],
)
def test_wrong_inputs_are_named(spec, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_policy("bc", spec).act(*arguments)


def test_a_state_of_another_batch_is_refused():
    policy = make_policy("bc", CONTINUOUS, rnn_hidden_size=6)
    _, state = policy.act(np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match=r"last_action must have the shape \(3, 3, 2\), .*what act returned"):
        policy.act(np.zeros((3, 3, 5)), state)


def test_policies_that_read_other_entries_say_so():
    policy = make_policy("bc", CONTINUOUS)
    network = policy.network
    network.in_keys = [*network.in_keys, "wind"]
    with pytest.raises(ValueError, match="got a policy that reads 'wind'"):
        TeamPolicy(network, CONTINUOUS).act(np.zeros((3, 5)))
