"""`make_env`: specs, the team's reward, the state, ends of episodes, errors."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torchrl.envs import check_env_specs

from omiga_torchrl.envs import (
    TeamReward,
    available_tasks,
    make_env,
    register_env,
    unregister_env,
)
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.specs import TeamSpec


@pytest.mark.parametrize("task", ["vmas/balance", "vmas/give_way"])
def test_specs(task):
    check_env_specs(make_env(task, num_envs=2, seed=0))


# Each map of SMAX would be compiled for this: tests/envs/test_smax.py looks at some of them.
@pytest.mark.parametrize("task", [task for task in available_tasks() if not task.startswith("smax/")])
def test_every_listed_task_is_one_team(task):
    # Of PettingZoo some are games of two sides.
    options = {"team_reward": "first"} if task.startswith("pettingzoo/") else {}
    env = make_env(task, num_envs=2, max_steps=3, **options)
    spec = TeamSpec.from_env(env)
    rollout = env.rollout(3, break_when_any_done=False)
    assert rollout["state"].shape == (2, 3, spec.state_size)
    assert rollout["next", "done"].any(1).all()  # small games terminate, the others run out of time
    assert env.reward_keys == ["reward"]
    assert env.task_name == task


def test_state_is_the_observations_in_a_row():
    rollout = make_env("vmas/navigation", num_envs=2, seed=0).rollout(4)
    for part in (rollout, rollout["next"]):
        assert torch.equal(part["state"], part["agents", "observation"].flatten(-2))


def test_failures_terminate():
    # Under random actions the package of `balance` falls within an episode now and then.
    rollout = make_env("vmas/balance", num_envs=64, seed=0).rollout(150, break_when_any_done=False)
    ended = rollout["next", "terminated"]
    assert ended.any() and torch.equal(ended, rollout["next", "done"])


@pytest.mark.parametrize("aggregate", ["mean", "sum"])
def test_team_reward(aggregate):
    # Without sharing, VMAS gives every agent a reward of its own.
    team = make_env("vmas/navigation", num_envs=2, seed=0, shared_rew=False, team_reward=aggregate)
    rewards = []
    base_step = team.base_env._step
    team.base_env._step = lambda tensordict: rewards.append(base_step(tensordict)) or rewards[-1].copy()
    rollout = team.rollout(3)
    per_agent = torch.stack([one["agents", "reward"] for one in rewards], 1)
    assert per_agent.shape == (2, 3, 3, 1) and per_agent.std(-2).min() > 0
    assert torch.equal(rollout["next", "reward"], getattr(per_agent, aggregate)(-2))
    assert ("agents", "reward") not in rollout["next"].keys(True)


def test_isolated_random_keeps_vmas_where_it_was():
    env = make_env("vmas/navigation", num_envs=2, seed=3)
    expected = env.reset()["state"]
    env = make_env("vmas/navigation", num_envs=2, seed=3)
    with isolated_random(0):
        make_env("vmas/navigation", num_envs=2, seed=9).rollout(3)
    assert torch.equal(env.reset()["state"], expected)


def test_registered_prefix():
    calls = {}

    def factory(name, **options):
        calls[name] = options
        return make_env("vmas/navigation")

    register_env("toy", factory, tasks=lambda: ["one"])
    try:
        assert "toy/one" in available_tasks()
        assert make_env("toy/one", num_envs=2, seed=1, extra=5).task_name == "toy/one"
        assert calls["one"] == {"num_envs": 2, "seed": 1, "max_steps": None, "device": "cpu", "extra": 5}
        with pytest.raises(ValueError, match="prefix 'toy' is taken"):
            register_env("toy", factory)
    finally:
        unregister_env("toy")
    assert "toy/one" not in available_tasks()


@pytest.mark.parametrize("task", ["vmas/navigaton", "vmas", "navigation"])
def test_unknown_task_names_the_nearest(task):
    with pytest.raises(ValueError, match=r"make_env: unknown task .*vmas/navigation"):
        make_env(task)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5])
def test_seeds_are_those_of_simulators(seed):
    with pytest.raises(ValueError, match=rf"make_env: seed is {seed}; expected a whole number in"):
        make_env("vmas/navigation", seed=seed)


@pytest.mark.parametrize("options", [{"num_envs": 0}, {"max_steps": 0}])
def test_sizes_below_one(options):
    with pytest.raises(ValueError, match="expected at least 1"):
        make_env("vmas/navigation", **options)


def test_unknown_aggregate():
    with pytest.raises(ValueError, match=r"unknown aggregate 'max'.*mean, sum"):
        TeamReward("max")


def test_missing_vmas_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "vmas" else find(name, *a)
    )
    with pytest.raises(ImportError, match=r'pip install "omiga-torchrl\[vmas\]"'):
        make_env("vmas/navigation")
