"""The behaviour training's own parts; the training itself is in test_behaviour.py."""

from __future__ import annotations

import pytest
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.behaviors import PPOSettings, load_behaviour, read_behaviour, train_behaviour
from omiga_torchrl.behaviors.ppo import PPO
from omiga_torchrl.behaviors.running_scale import RunningScale
from omiga_torchrl.data.recording.collecting import collecting
from omiga_torchrl.envs import make_env
from omiga_torchrl.random_state import isolated_random

SMALL = {"num_envs": 4, "steps": 6, "minibatch_size": 12, "epochs": 1, "hidden": (8,)}


def test_running_scale_is_that_of_all_values_together():
    torch.manual_seed(0)
    parts = [torch.randn(n, 2, 3) * 5 + 2 for n in (1, 7, 20)]
    scale = RunningScale(3)
    for part in parts:
        scale.update(part)
    whole = torch.cat(parts).reshape(-1, 3).double()
    torch.testing.assert_close(scale.mean, whole.mean(0))
    torch.testing.assert_close(scale.std, whole.std(0, correction=0))
    torch.testing.assert_close(
        scale(parts[0].double()), (parts[0] - whole.mean(0)) / whole.std(0, correction=0)
    )


def test_features_that_never_vary_are_left_alone():
    scale = RunningScale(2)
    scale.update(torch.tensor([[3.0, 1.0], [3.0, 2.0]]))
    assert scale.std.tolist() == [1.0, 0.5] and scale.varies.tolist() == [False, True]
    assert scale(torch.tensor([9.0, 2.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("state_dependent_std", [True, False])
def test_the_saved_policy_has_the_scaling_folded_in(state_dependent_std):
    with isolated_random(0):
        env = make_env("vmas/navigation", num_envs=4, seed=0)
        settings = PPOSettings(**SMALL, normalise=True, state_dependent_std=state_dependent_std)
        ppo = PPO(env, settings.completed_for(env), batches=2)
        for _ in ppo.train():
            pass
        seen = env.rollout(3)
        with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
            scaled = ppo.acting(seen.clone())["agents", "action"]
            folded = ppo.policy()(seen.clone())["agents", "action"]
    assert not torch.allclose(ppo.observation_scales["agents"].std, torch.ones(18, dtype=torch.float64))
    torch.testing.assert_close(scaled, folded, atol=2e-3, rtol=0)  # small deviations amplify rounding


def test_episodes_go_on_from_batch_to_batch():
    with isolated_random(0):
        env = make_env("vmas/navigation", num_envs=4, seed=0, max_steps=20)
        settings = PPOSettings(**SMALL, continue_episodes=True)
        ppo = PPO(env, settings.completed_for(env), batches=5)
        first, second = ppo._play(), ppo._play()
    torch.testing.assert_close(
        second["agents", "observation"][:, 0], first["next", "agents", "observation"][:, -1]
    )
    assert (second["step_count"][:, 0] == 6).all()


def test_rewards_are_divided_by_the_deviation_of_discounted_returns():
    with isolated_random(0):
        env = make_env("vmas/navigation", num_envs=4, seed=0)
        ppo = PPO(env, PPOSettings(**SMALL, normalise=True).completed_for(env), batches=1)
        batch = env.rollout(6, break_when_any_done=False)
    reward = batch["next", "reward"].double()
    running, seen = torch.zeros(4, 1, dtype=torch.float64), []
    for time in range(6):
        running = running * 0.99 + reward[:, time]
        seen.append(running)
    ppo._scale_rewards(batch)
    std = torch.stack(seen).std(correction=0)
    torch.testing.assert_close(batch["next", "reward"].double(), reward / std, rtol=1e-4, atol=1e-6)


def test_a_policy_with_its_own_deviation_is_saved_and_loaded(tmp_path):
    path = train_behaviour(
        "vmas/navigation",
        total_frames=24,
        folder=tmp_path,
        eval_episodes=2,
        progress=False,
        state_dependent_std=False,
        lr_decay=True,
        **SMALL,
    )[-1]
    policy = load_behaviour(path)
    assert read_behaviour(path)[0].settings["state_dependent_std"] is False
    out = policy(make_env("vmas/navigation", num_envs=5).reset())
    assert (out["agents", "scale"] == out["agents", "scale"][0, 0]).all()


GROUPS = ["vmas/speaker_listeners", "vmas/speaker_listeners-mixed"]


@pytest.mark.parametrize("task", GROUPS)
def test_a_team_of_groups_is_trained_saved_and_loaded(tmp_path, task):
    paths = train_behaviour(
        task, total_frames=48, folder=tmp_path, eval_episodes=3, progress=False, normalise=True, **SMALL
    )
    first, last = (read_behaviour(path) for path in (paths[0], paths[-1]))
    moved = {name.split(".")[1] for name in first[1] if not torch.equal(first[1][name], last[1][name])}
    assert moved == {"speaker", "listener"}
    assert last[0].spec["groups"]["listener"]["n_agents"] == 2 and last[0].episodes == 3
    env = make_env(task, num_envs=3, seed=0, max_steps=4)
    played = env.rollout(4, load_behaviour(paths[-1]))
    assert played["next", "reward"].isfinite().all()
    with collecting(load_behaviour(paths[-1]), env) as collector:
        assert next(iter(collector))["listener", "action"].shape[-2:] == (2, 2)


@pytest.mark.parametrize("task", GROUPS)
def test_every_groups_scaling_is_folded_in(task):
    with isolated_random(0):
        env = make_env(task, num_envs=4, seed=0)
        ppo = PPO(env, PPOSettings(**SMALL, normalise=True).completed_for(env), batches=2)
        for _ in ppo.train():
            pass
        seen = env.rollout(3)
        with set_exploration_type(ExplorationType.DETERMINISTIC), torch.no_grad():
            scaled, folded = ppo.acting(seen.clone()), ppo.policy()(seen.clone())
    for name, scale in ppo.observation_scales.items():
        assert not torch.allclose(scale.mean, torch.zeros_like(scale.mean)), name
        torch.testing.assert_close(scaled[name, "action"], folded[name, "action"], atol=2e-3, rtol=0)


def test_the_critic_counts_once_and_every_groups_policy_too():
    with isolated_random(0):
        env = make_env(GROUPS[0], num_envs=4, seed=0)
        ppo = PPO(env, PPOSettings(**SMALL).completed_for(env), batches=1)
        batch = ppo.gae(ppo._play()).reshape(-1)
        for name, group in ppo.spec.groups.items():
            batch[name, "advantage"] = batch["advantage"].unsqueeze(-2).expand(-1, group.n_agents, -1)
        terms = {name: loss(batch) for name, loss in ppo.losses.items()}
        total = ppo._total_loss(batch)
    assert [name for name in terms if "loss_critic" in terms[name]] == ["speaker"]
    expected = terms["speaker"]["loss_critic"] + sum(term["loss_objective"] for term in terms.values())
    expected = expected + sum(term["loss_entropy"] for term in terms.values())
    torch.testing.assert_close(total, expected, rtol=1e-3, atol=1e-4)  # entropies are sampled
