"""SMAC through TorchRL's wrapper, with a stand-in for the game."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from torchrl.envs import check_env_specs
from torchrl.envs.libs import smacv2 as wrapper

from omiga_torchrl.envs import available_tasks, make_env
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import EnvContract

ACTION = ("agents", "action")


class Game:
    """Two agents with three actions, as smacv2's ``StarCraft2Env`` would show them.

    Action 2 is legal from the second step on, and wins if both choose it; after four steps the
    time is over.
    """

    n_agents, n_enemies, n_actions, episode_limit = 2, 1, 3, 4

    def __init__(self, map_name, seed=None, continuing_episode=False):
        self.map_name, self._seed, self._says_time = map_name, seed, continuing_episode
        self._steps = self.restarts = 0

    def get_obs_size(self):
        return 2

    def get_state_size(self):
        return 3

    def get_obs(self):
        return [np.array([agent, self._steps], np.float32) for agent in range(2)]

    def get_state(self):
        return np.array([self._steps, 0, 30], np.float32)

    def get_avail_actions(self):
        return [[1, 1, int(self._steps > 0)]] * 2

    def reset(self):
        self._steps = 0
        return self.get_obs(), self.get_state()

    def step(self, actions):
        for agent, action in enumerate(actions):
            assert self.get_avail_actions()[agent][action], f"Agent {agent} cannot perform action {action}"
        self._steps += 1
        won, late = all(action == 2 for action in actions), self._steps >= self.episode_limit
        info = {"battle_won": won, "dead_allies": 0, "dead_enemies": int(won)}
        if late and not won and self._says_time:
            info["episode_limit"] = True
        return 20.0 if won else 0.5, won or late, info

    def full_restart(self):
        self.restarts += 1

    def close(self):
        pass


@pytest.fixture
def installed(monkeypatch, tmp_path):
    package = types.ModuleType("smacv2")
    package.env = types.ModuleType("smacv2.env")
    package.env.StarCraft2Env = Game
    monkeypatch.setitem(sys.modules, "smacv2", package)
    monkeypatch.setitem(sys.modules, "smacv2.env", package.env)
    monkeypatch.setattr(wrapper, "_has_smacv2", True)
    monkeypatch.setenv("SC2PATH", str(tmp_path))


@pytest.mark.usefixtures("installed")
class TestContract(EnvContract):
    task, num_envs, max_steps = "smac/3m", 1, None


def play(env, *actions):
    data, steps = env.reset(), []
    for action in actions:
        data = env.step(data.set(ACTION, torch.tensor([action])))
        steps.append(data["next"])
        data = env.step_mdp(data)
    return torch.stack(steps, 1)


def test_keys_and_sizes(installed):
    env = make_env("smac/3m", seed=3)
    check_env_specs(env)
    assert TeamSpec.from_env(env) == TeamSpec(2, 2, 3, 3, True, True, 0.0, 0.0)
    assert env.batch_size == (1,) and env.reward_keys == ["reward"]
    assert "smac/2c_vs_64zg" in available_tasks()


def test_a_won_game_terminates(installed):
    steps = play(make_env("smac/3m"), [0, 1], [2, 2])
    for key, expected in (
        ("win", [False, True]),
        ("done", [False, True]),
        ("terminated", [False, True]),
        ("truncated", [False, False]),
        ("episode_reward", [0.5, 20.5]),
    ):
        assert steps[key].flatten().tolist() == expected, key
    assert steps["agents", "action_mask"][0, :, 0].tolist() == [[True, True, True]] * 2
    assert steps["state"][0].tolist() == [[1, 0, 30], [2, 0, 30]]


@pytest.mark.parametrize(("max_steps", "length"), [(None, 4), (3, 3)])
def test_time_limits_truncate(installed, max_steps, length):
    steps = play(make_env("smac/3m", max_steps=max_steps), *[[0, 0]] * length)
    assert steps["done"].flatten().tolist() == [False] * (length - 1) + [True]
    assert torch.equal(steps["truncated"], steps["done"])
    assert not steps["terminated"].any() and not steps["win"].any()


def test_random_actions_are_legal(installed):
    torch.manual_seed(0)
    rollout = make_env("smac/3m").rollout(40, break_when_any_done=False)
    chosen = rollout["agents", "action_mask"].gather(-1, rollout[ACTION].unsqueeze(-1))
    assert chosen.all() and (rollout[ACTION] == 2).any()


def test_evaluation_counts_wins_and_seeds_the_game(installed):
    env = make_env("smac/3m", seed=1)

    def act(data):
        return data.set(ACTION, 2 * data["agents", "action_mask"][..., 2].long())

    result = evaluate(act, env, episodes=3, seed=5)
    assert result.won.all() and result.lengths.tolist() == [2, 2, 2]
    game = env.base_env._envs[0]._env
    assert game.restarts == 1 and game._seed == 5


def test_errors(monkeypatch, installed, tmp_path):
    with pytest.raises(ValueError, match=r"unknown task 'smac/coridor'; did you mean 'smac/corridor'"):
        make_env("smac/coridor")
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ImportError, match=r"StarCraft II is not in .*nowhere.*SC2PATH"):
        make_env("smac/3m")


def test_a_missing_package_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "smacv2" else find(name, *a)
    )
    with pytest.raises(ImportError, match=r'smacv2 is missing. pip install "smacv2 @ git.*SC2PATH'):
        make_env("smac/3m")
    assert not any(task.startswith("smac/") for task in available_tasks())
