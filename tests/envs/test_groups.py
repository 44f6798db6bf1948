"""Transforms of teams whose agents differ: one reward, one state, memory, choices, executed actions."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import TransformedEnv, check_env_specs
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.envs import (
    ConcatState,
    DiscretizedActions,
    ExecutedAction,
    TeamReward,
    directions,
    make_env,
    with_memory,
)
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.group_policy import GroupPolicy
from omiga_torchrl.specs import TeamSpec

REWARDS = [("a", "reward"), ("b", "reward")]
MIXED = "vmas/speaker_listeners-mixed"


def after(**entries):
    return TensorDict({(name, kind): value for name, (kind, value) in entries.items()}, [1])


@pytest.mark.parametrize(
    ("rule", "team"), [("mean", 3.0), ("sum", 9.0), ("first", 1.0), ("a", 1.0), ("b", 4.0)]
)
@pytest.mark.parametrize("keep", [True, False])
def test_team_reward_over_all_groups(rule, team, keep):
    following = after(a=("reward", torch.tensor([[[1.0]]])), b=("reward", torch.tensor([[[3.0], [5.0]]])))
    transform = TeamReward(rule, agent_reward_key=REWARDS, keep_agent_rewards=keep)
    out = transform._step(TensorDict(batch_size=[1]), following)
    assert out["reward"].tolist() == [[team]]
    assert all((key in out.keys(True)) is keep for key in REWARDS)


def test_a_team_reward_of_an_unknown_group():
    with pytest.raises(ValueError, match=r"unknown aggregate 'c'.*a, b, first, mean, sum"):
        TeamReward("c", agent_reward_key=REWARDS)


def test_the_state_is_all_observations_group_after_group():
    seen = after(
        a=("observation", torch.tensor([[[1.0, 2.0]]])), b=("observation", torch.tensor([[[3.0], [4.0]]]))
    )
    transform = ConcatState(observation_key=[("a", "observation"), ("b", "observation")])
    assert transform._call(seen)["state"].tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_executed_actions_of_every_group():
    data = after(a=("action", torch.tensor([[[3.0]]])), b=("action", torch.tensor([[[-2.0], [0.5]]])))
    executed = ExecutedAction("clip", action_key=[("a", "action"), ("b", "action")]).inv(data)
    assert executed["a", "action"].max() < 3 and executed["b", "action"].min() > -2
    assert executed["b", "action"][0, 1].item() == 0.5


def test_directions():
    assert directions(2).tolist() == [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]


def test_a_choice_moves_as_the_action_that_it_names():
    choices, chosen = directions(2), torch.tensor([[0, 1, 2], [3, 4, 0]])
    env, other = (make_env("vmas/navigation", num_envs=2) for _ in range(2))
    discrete = TransformedEnv(other, DiscretizedActions("agents", choices), auto_unwrap=True)
    check_env_specs(discrete)
    assert TeamSpec.from_env(discrete).discrete and TeamSpec.from_env(discrete).action_size == 5
    found = []
    for one, action in ((env, choices[chosen]), (discrete, chosen)):
        one.set_seed(1)
        found.append(one.step(one.reset().set(("agents", "action"), action))["next", "state"])
    assert torch.equal(*found)


def test_choices_of_another_size():
    with pytest.raises(ValueError, match=r"choices must have 2 features.*got 3"):
        env = make_env("vmas/navigation")
        TeamSpec.from_env(TransformedEnv(env, DiscretizedActions("agents", directions(3)), auto_unwrap=True))
    with pytest.raises(ValueError, match=r"choices must be a table \[K, A\].*got the shape \(3,\)"):
        DiscretizedActions("agents", torch.zeros(3))


def test_memories_and_last_actions_of_every_group():
    env = make_env(MIXED, num_envs=2, seed=0, max_steps=3)
    spec = TeamSpec.from_env(env)
    policy = GroupPolicy(
        spec,
        {
            name: make_actor(group, hidden_sizes=(8,), rnn_hidden_size=4 + index)
            for index, (name, group) in enumerate(spec.groups.items())
        },
    )
    with set_exploration_type(ExplorationType.RANDOM), torch.no_grad():
        data = with_memory(env, policy).rollout(6, policy, break_when_any_done=False)
    assert data["speaker_policy_memory"].shape == (2, 6, 1, 4)
    assert data["listener_policy_memory"].shape == (2, 6, 2, 5)
    for name, none in (("speaker", -1), ("listener", 0.0)):
        last, action = data[name, "last_action"], data[name, "action"]
        assert (last[:, [0, 3]] == none).all(), name
        assert torch.equal(last[:, [1, 2, 4, 5]], action[:, [0, 1, 3, 4]]), name
    assert not data["listener_policy_memory"][:, [0, 3]].any() and data["listener_policy_memory"][:, 1].any()
