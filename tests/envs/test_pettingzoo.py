"""Scenarios of PettingZoo's MPE as team tasks."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from omiga_torchrl.envs import make_env
from omiga_torchrl.evaluation.frames import frame_source
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import EnvContract

has_mpe = pytest.mark.skipif(importlib.util.find_spec("mpe2") is None, reason="mpe2 is not installed")


@has_mpe
class TestSpeaker(EnvContract):
    task = "pettingzoo/simple_speaker_listener_v4"


@has_mpe
class TestPredators(EnvContract):
    task = "pettingzoo/simple_tag_v3"
    options = {"team_reward": "adversary", "keep_agent_rewards": True, "continuous_actions": True}


@has_mpe
def test_sizes_and_rewards_are_those_of_the_game():
    env = make_env("pettingzoo/simple_tag_v3", num_envs=2, seed=0, team_reward="sum", keep_agent_rewards=True)
    spec = TeamSpec.from_env(env)
    sizes = {name: (one.n_agents, one.observation_size, one.action_size) for name, one in spec.groups.items()}
    assert sizes == {"adversary": (3, 16, 5), "agent": (1, 14, 5)}
    assert all(group.discrete for group in spec.groups.values())
    data = env.reset()
    game, after = env.base_env._games[1], env.step(env.rand_action(data))["next"]
    seen = torch.from_numpy(game.observation_space("agent_0").sample()).shape
    assert after["agent", "observation"][1, 0].shape == seen
    own = torch.cat([after["adversary", "reward"], after["agent", "reward"]], 1)
    torch.testing.assert_close(after["reward"], own.sum(1))


@has_mpe
def test_games_have_their_own_streams_and_other_episodes_after_a_reset():
    env = make_env("pettingzoo/simple_spread_v3", num_envs=2, seed=3)
    first, second = env.reset()["state"], env.reset()["state"]
    assert not torch.equal(first[0], first[1]) and not torch.equal(first, second)
    alone = make_env("pettingzoo/simple_spread_v3", num_envs=1, seed=3).reset()["state"]
    assert torch.equal(alone[0], first[0])


@has_mpe
def test_two_sides_need_a_rule():
    with pytest.raises(ValueError, match=r"team_reward of pettingzoo/simple_tag_v3 must be given"):
        make_env("pettingzoo/simple_tag_v3")
    with pytest.raises(ValueError, match=r"unknown task 'pettingzoo/simple_tga_v3'.*simple_tag_v3"):
        make_env("pettingzoo/simple_tga_v3")


@has_mpe
def test_a_game_of_its_own_length_is_truncated():
    env = make_env("pettingzoo/simple_spread_v3", max_steps=2).base_env
    following = env.rollout(9)["next"]
    assert following["truncated"].flatten().tolist() == [False, False, True]
    assert not following["terminated"].any()


@has_mpe
def test_pictures():
    env = make_env("pettingzoo/simple_tag_v3", team_reward="first", seed=0)
    frame = frame_source(env)
    data, before = env.reset(), frame()
    for _ in range(5):
        forwards = env.full_action_spec.zero().apply(torch.ones_like)
        data = env.step_mdp(env.step(data.update(forwards)))
    assert before.ndim == 3 and (before != frame()).any()


def test_missing_mpe_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mpe2" else find(name))
    with pytest.raises(ImportError, match=r'pip install "omiga-torchrl\[pettingzoo\]"'):
        make_env("pettingzoo/simple_tag_v3")
