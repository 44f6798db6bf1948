"""VMAS scenarios of unequal agents: groups, rules of agents without a policy, the speaker."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.grouping import uniform_groups
from omiga_torchrl.envs.vmas_rules import flee, shadow
from omiga_torchrl.specs import TeamSpec

BOTH = ("adversary", "agent")


def test_groups_of_equal_agents():
    spaces = {"a_0": 1, "a_1": 1, "b_0": 1, "b_1": 2}
    assert uniform_groups({"a": ["a_0", "a_1"]}, spaces) == {"agents": ["a_0", "a_1"]}
    found = uniform_groups({"a": ["a_0", "a_1"], "b": ["b_0", "b_1"]}, spaces)
    assert found == {"a": ["a_0", "a_1"], "b_0": ["b_0"], "b_1": ["b_1"]}


def test_one_side_is_one_team():
    for task, names in (
        ("simple_tag", "adversary"),
        ("simple_adversary", "agent"),
        ("football", "agent_blue"),
    ):
        env = make_env(f"vmas/{task}", num_envs=2)
        assert list(env.group_map) == ["agents"], task
        assert all(agent.startswith(names) for agent in env.group_map["agents"]), task


def test_sizes_of_a_leader_and_followers():
    spec = TeamSpec.from_env(make_env("vmas/simple_world_comm"))
    assert {name: (group.n_agents, group.action_size) for name, group in spec.groups.items()} == {
        "lead_adversary": (1, 6),
        "adversary": (3, 2),
    }
    assert spec.groups["lead_adversary"].action_low == (-1.0, -1.0, 0.0, 0.0, 0.0, 0.0)


def test_both_sides_need_a_rule_for_the_teams_reward():
    with pytest.raises(
        ValueError, match=r"team_reward of vmas/simple_tag must be given.*first, adversary, agent"
    ):
        make_env("vmas/simple_tag", controlled=BOTH)
    env = make_env(
        "vmas/simple_tag", controlled=BOTH, team_reward="agent", keep_agent_rewards=True, num_envs=64
    )
    assert env.team_reward == "agent" and make_env("vmas/navigation").team_reward == "mean"
    following = env.rollout(60)["next"]
    assert following["reward"].min() < 0
    assert torch.equal(following["reward"], following["agent", "reward"].mean(-2))
    # Predators share theirs: it is what the prey loses, for each of them.
    assert torch.equal(following["adversary", "reward"][..., 0, :], -following["agent", "reward"][..., 0, :])


@pytest.mark.parametrize(
    ("task", "controlled", "message"),
    [
        (
            "simple_tag",
            ("wolves",),
            r"unknown group in controlled of vmas/simple_tag 'wolves'.*adversary, agent",
        ),
        (
            "simple_crypto",
            ("eve",),
            r"controlled of vmas/simple_crypto must be all groups, eve, bob, alice.*got eve",
        ),
    ],
)
def test_controlled_groups_that_do_not_exist_or_leave_others_without_a_rule(task, controlled, message):
    with pytest.raises(ValueError, match=message):
        make_env(f"vmas/{task}", controlled=controlled)


def test_a_mixed_task_only_where_there_are_choices():
    with pytest.raises(ValueError, match="unknown task 'vmas/navigation-mixed'"):
        make_env("vmas/navigation-mixed")


def agents_at(env, **places):
    world = env.base_env._env.world
    for agent in world.agents:
        agent.set_pos(torch.tensor([places[agent.name]]), batch_index=None)
    return world


def test_the_prey_runs_from_the_nearest_predator_and_from_walls():
    env = make_env("vmas/simple_tag", num_envs=1)
    far = {"adversary_1": [-0.6, 0.6], "adversary_2": [-0.6, -0.6]}
    world = agents_at(env, adversary_0=[0.1, 0.0], agent_0=[0.0, 0.0], **far)
    prey = world.agents[-1]
    flee(prey, world)
    push = prey.action.u / prey.action.u_multiplier_tensor
    assert push[0, 0] < -0.9 and push.norm() == pytest.approx(1.0)
    world = agents_at(env, adversary_0=[0.0, 0.0], agent_0=[0.99, 0.0], **far)
    flee(prey, world)
    assert prey.action.u[0, 0] < 0  # the wall is nearer


def test_the_adversary_goes_where_an_agent_is_nearest_to_a_landmark():
    env = make_env("vmas/simple_adversary", num_envs=1)
    world = agents_at(env, adversary_0=[0.0, 0.0], agent_0=[0.5, 0.4], agent_1=[0.0, -0.8])
    for landmark, place in zip(world.landmarks, ([0.5, 0.5], [-0.5, 0.5]), strict=True):
        landmark.set_pos(torch.tensor([place]), batch_index=None)
    adversary = world.agents[0]
    shadow(adversary, world)
    torch.testing.assert_close(adversary.action.u, torch.full((1, 2), 0.5).sqrt())


def test_agents_without_a_policy_act_by_their_rule_in_every_step():
    env = make_env("vmas/simple_tag", num_envs=64, seed=0)
    still = env.full_action_spec["agents", "action"].zero()
    world, data = env.base_env._env.world, env.reset()
    prey = world.agents[-1]
    chased = torch.stack([agent.state.pos for agent in world.agents[:3]])
    start = (prey.state.pos - chased).norm(dim=-1).amin(0)
    for _ in range(20):
        data = env.step_mdp(env.step(data.set(("agents", "action"), still)))
    end = (prey.state.pos - chased).norm(dim=-1).amin(0)
    assert (end[start < 0.3] > start[start < 0.3]).float().mean() > 0.9


def test_the_speaker_knows_a_goal_of_every_world_and_is_heard_one_step_later():
    env = make_env("vmas/speaker_listeners", num_envs=64, seed=0)
    data = env.reset()
    goal = data["speaker", "observation"]
    assert goal.sum(-1).eq(1).all() and goal.argmax(-1).unique().tolist() == [0, 1, 2]
    assert not data["listener", "observation"][..., -3:].any()
    said = env.full_action_spec["speaker", "action"].rand()
    data = env.rand_action(data).set(("speaker", "action"), said)
    following = env.step(data)["next"]
    heard = following["listener", "observation"][..., -3:]
    torch.testing.assert_close(heard, said.expand(-1, 2, -1))
    assert torch.equal(following["speaker", "observation"], goal)
    # The reward is minus the listeners' mean distance to the goal, as they see it.
    away = following["listener", "observation"][..., 2:8].unflatten(-1, (3, 2)).norm(dim=-1)
    expected = -(away * goal).sum(-1).mean(-1, keepdim=True)
    torch.testing.assert_close(following["reward"], expected)


def test_a_new_episode_has_a_new_goal_and_silence_in_its_world_only():
    env = make_env("vmas/speaker_listeners", num_envs=8, seed=0)
    data = env.rollout(2)[:, -1]
    before = data["next", "listener", "observation"][..., -3:]
    reset = torch.zeros(8, 1, dtype=torch.bool)
    reset[3] = True
    after = env.reset(env.step_mdp(data).set("_reset", reset))["listener", "observation"][..., -3:]
    assert not after[3].any() and torch.equal(after[:3], before[:3]) and torch.equal(after[4:], before[4:])


def test_words_are_one_hot():
    env = make_env("vmas/speaker_listeners-mixed", num_envs=3, seed=0)
    data = env.rand_action(env.reset()).set(("speaker", "action"), torch.tensor([[0], [1], [2]]))
    heard = env.step(data)["next", "listener", "observation"][..., 0, -3:]
    assert torch.equal(heard, torch.eye(3))


def test_the_number_of_listeners():
    assert TeamSpec.from_env(make_env("vmas/speaker_listeners", n_listeners=4)).n_agents == 5


def test_double_precision_by_default_is_refused_before_vmas_stumbles():
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match=r"must be torch.float32, in which VMAS.*got torch.float64"):
            make_env("vmas/navigation")
    finally:
        torch.set_default_dtype(torch.float32)
