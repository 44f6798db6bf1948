from __future__ import annotations

import pytest
import torch
from torch import nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.modules import BoundedActions, deterministic_actor
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(3, 5, 2, 7, action_low=-0.5, action_high=2.0)
ACTION = ("agents", "action")


def observations(*batch):
    return SPEC.fake_batch(*batch).exclude(ACTION)


def test_bounded_actions_by_hand():
    head = BoundedActions(nn.Identity(), low=0.0, high=4.0)
    found = head(torch.tensor([-50.0, 0.0, 0.5, 50.0]))
    assert found.tolist() == pytest.approx([0.0, 2.0, 2 + 2 * 0.46212, 4.0], abs=1e-4)


@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
@pytest.mark.parametrize("share_params", [True, False])
def test_acts_alike_under_every_exploration_type(batch, share_params):
    policy = deterministic_actor(SPEC, hidden_sizes=(8,), share_params=share_params)
    data, found = observations(*batch), []
    for kind in (ExplorationType.RANDOM, ExplorationType.DETERMINISTIC, ExplorationType.MODE):
        with set_exploration_type(kind), torch.no_grad():
            found.append(policy(data.clone())[ACTION])
    assert found[0].shape == (*batch, 3, 2)
    assert found[0].equal(found[1]) and found[0].equal(found[2])


def test_actions_stay_in_bounds_and_carry_a_gradient():
    policy = deterministic_actor(SPEC, hidden_sizes=(8,))
    data = observations(64)
    data["agents", "observation"] *= 100
    action = policy(data)[ACTION]
    assert action.min() >= -0.5 and action.max() <= 2.0 and action.std() > 0.1
    action.sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters())


def test_reads_and_writes_the_keys_it_is_given():
    policy = deterministic_actor(SPEC, hidden_sizes=(8,), observation="sight", action=("team", "move"))
    assert policy.in_keys == ["sight"] and policy.out_keys == [("team", "move")]


def test_discrete_actions_are_refused():
    with pytest.raises(ValueError, match=r"deterministic_actor: .*discrete.*categorical_actor"):
        deterministic_actor(TeamSpec(3, 5, 4, 7, discrete=True))
