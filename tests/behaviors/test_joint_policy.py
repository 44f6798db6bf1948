"""Policies of a joint task, played by a team."""

from __future__ import annotations

import pytest
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

pytest.importorskip("gymnasium_robotics")

from omiga_torchrl.behaviors import as_team_policy, record_tier
from omiga_torchrl.behaviors.network import behaviour_actor
from omiga_torchrl.data import (
    OfflineDataset,
    bundled_behaviours,
    check_dataset,
    check_dataset_fits,
)
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec


@pytest.mark.parametrize(
    ("joint", "team", "options"),
    [
        ("hopper", "hopper-3x1", {}),
        ("halfcheetah", "halfcheetah-6x1", {"order": "robotics"}),
        ("halfcheetah", "halfcheetah-2x3", {"layout": "local", "obsk": 0}),
        ("humanoid", "humanoid-9|8", {"layout": "local"}),
        ("humanoid", "humanoid-9|8", {"layout": "local", "groups": True}),
        ("halfcheetah", "halfcheetah-2|4", {}),
        ("pusher", "pusher-3p", {"groups": True}),
    ],
)
def test_the_team_does_what_the_joint_policy_does(joint, team, options):
    alone = make_env(f"mujoco/{joint}", num_envs=2, seed=3, max_steps=8)
    torch.manual_seed(0)
    policy = behaviour_actor(TeamSpec.from_env(alone), [8]).requires_grad_(False)
    env = make_env(f"mujoco/{team}", num_envs=2, seed=3, max_steps=8, raw_state=True, **options)
    shared = as_team_policy(policy, TeamSpec.from_env(alone), env)
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        one, other = (env.rollout(8, acting) for env, acting in ((alone, policy), (env, shared)))
    torch.testing.assert_close(one["next", "reward"], other["next", "reward"], rtol=1e-5, atol=1e-5)
    acting = [other[name, "action"].shape[2] for name in env.group_map]
    assert sum(acting) == len(env.joint_slots)


def test_it_samples_when_it_should():
    env = make_env("mujoco/hopper-3x1", num_envs=64, seed=0, raw_state=True)
    spec = TeamSpec(1, 11, 3, 11)
    shared = as_team_policy(behaviour_actor(spec, [8]).requires_grad_(False), spec, env)
    start = env.reset()
    actions = []
    for kind in (ExplorationType.RANDOM, ExplorationType.DETERMINISTIC):
        with set_exploration_type(kind):
            actions.append(shared(start.clone())["agents", "action"].std(0).min())
    assert actions[0] > 10 * actions[1]


def test_another_robot_or_no_raw_state():
    spec = TeamSpec(1, 11, 3, 11)
    policy = behaviour_actor(spec, [8])
    with pytest.raises(DataError, match=r"\(1, 11, 3\), the environment has \(1, 17, 6\)"):
        as_team_policy(policy, spec, make_env("mujoco/halfcheetah-6x1", raw_state=True))
    with pytest.raises(DataError, match=r"has \(1, 0, 3\) as one agent.*raw_state=True"):
        as_team_policy(policy, spec, make_env("mujoco/hopper-3x1"))


def test_a_tier_of_a_team_from_the_robots_checkpoints(tmp_path):
    checkpoints = bundled_behaviours("mujoco/hopper-3x1")
    assert checkpoints == bundled_behaviours("mujoco/hopper")
    card = record_tier(
        "mujoco/hopper-3x1", "medium", checkpoints, folder=tmp_path / "x", transitions=300, num_envs=2
    )
    assert card.spec == TeamSpec.from_env(make_env("mujoco/hopper-3x1"))
    assert card.behaviour[0].sha256 and "raw_state" not in card.task_kwargs
    dataset = OfflineDataset(tmp_path / "x", root=tmp_path / "cache")
    check_dataset(dataset)
    check_dataset_fits(dataset, make_env("mujoco/hopper-3x1", num_envs=16))
    with pytest.raises(DataError, match=r"observation_size is 14 in .*or with layout='omiga'"):
        check_dataset_fits(dataset, make_env("mujoco/hopper-3x1", layout="state"))
