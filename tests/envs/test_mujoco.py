"""MuJoCo tasks as TorchRL environments: ends, resets, seeds, layouts, errors."""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
import pytest
import torch
from torchrl.collectors import Collector
from torchrl.envs import ParallelEnv, SerialEnv, check_env_specs

from omiga_torchrl.data import record_episodes
from omiga_torchrl.envs import make_env
from omiga_torchrl.envs.mujoco_simulator import Simulation
from omiga_torchrl.envs.mujoco_tasks import find_task
from omiga_torchrl.envs.mujoco_workers import SimulatorWorkers
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.specs import TeamSpec

pytest.importorskip("gymnasium_robotics")
mujoco = pytest.importorskip("mujoco")

ACTION = ("agents", "action")
OBSERVATION = ("agents", "observation")


@pytest.mark.parametrize(
    ("name", "n_agents", "observation", "action"),
    [("hopper-3x1", 3, 14, 1), ("halfcheetah-6x1", 6, 23, 1), ("ant-2x4", 2, 113, 4)],
)
def test_sizes_of_the_published_data(name, n_agents, observation, action):
    env = make_env(f"mujoco/{name}", num_envs=2, seed=0)
    check_env_specs(env)
    assert TeamSpec.from_env(env) == TeamSpec(n_agents, observation, action, n_agents * observation)
    seen = env.rollout(3)[OBSERVATION]
    torch.testing.assert_close(seen.mean(-1), torch.zeros(2, 3, n_agents), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std(-1, correction=0), torch.ones(2, 3, n_agents))


def test_unequal_agents_are_padded():
    env = make_env("mujoco/humanoid-9-8", num_envs=2, seed=0, layout="local", obsk=0)
    check_env_specs(env)
    assert env.observation_mask.sum(-1).tolist() == [236, 167]
    assert env.action_feature_mask.sum(-1).tolist() == [9, 8]
    env.set_seed(0)
    rollout = env.rollout(3)
    assert rollout[OBSERVATION].shape == (2, 3, 2, 236)
    assert not rollout[OBSERVATION][..., 1, 167:].any()
    # What stands in the padding makes no difference, not even NaN.
    other = make_env("mujoco/humanoid-9-8", num_envs=2, seed=0, layout="local", obsk=0)
    data = other.reset()
    for action in rollout[ACTION].unbind(1):
        action[:, 1, 8] = torch.nan
        data = other.step_mdp(other.step(data.set(ACTION, action)))
    assert torch.equal(data["state"], rollout["next", "state"][:, -1])


def test_unequal_agents_in_groups_do_the_same_as_padded_ones():
    options = {"num_envs": 2, "seed": 0, "layout": "local", "obsk": 0}
    padded = make_env("mujoco/pusher-3p", **options)
    groups = make_env("mujoco/pusher-3p", groups=True, **options)
    check_env_specs(groups)
    assert groups.group_map == {"agents_0": ["agent_0", "agent_2"], "agents_1": ["agent_1"]}
    padded.set_seed(0), groups.set_seed(0)
    one, other = padded.reset(), groups.reset()
    for _ in range(3):
        one = padded.rand_action(one)
        other["agents_0", "action"] = one[ACTION][:, [0, 2]]
        other["agents_1", "action"] = one[ACTION][:, [1], :1]
        one, other = padded.step_mdp(padded.step(one)), groups.step_mdp(groups.step(other))
        assert torch.equal(one["state"], other["state"])
        assert torch.equal(one[OBSERVATION][:, [0, 2]], other["agents_0", "observation"])
        size = other["agents_1", "observation"].shape[-1]
        assert torch.equal(one[OBSERVATION][:, [1], :size], other["agents_1", "observation"])


def test_a_robot_cut_into_unequal_parts():
    env = make_env("mujoco/halfcheetah-2-4", num_envs=2, seed=0)
    spec = TeamSpec.from_env(env)
    assert [group.action_size for group in spec.groups.values()] == [2, 4]
    data = env.reset()
    data["agents_0", "action"] = torch.tensor([[[0.0, 0.1]]]).expand(2, 1, 2)
    data["agents_1", "action"] = torch.tensor([[[0.2, 0.3, 0.4, 0.5]]]).expand(2, 1, 4)
    env.step(data)
    np.testing.assert_allclose(env._simulators.buffers.action[0], np.arange(6) / 10, rtol=1e-6)
    data["agents_1", "action"] = torch.full((2, 1, 4), torch.nan)
    with pytest.raises(DataError, match=r"\('agents_1', 'action'\) of agent 1 is NaN"):
        env.step(data)
    padded = TeamSpec.from_env(make_env("mujoco/halfcheetah-2|4", groups=False))
    assert (padded.n_agents, padded.action_size) == (2, 4)


@pytest.mark.parametrize(
    ("task", "scale"), [("mujoco/humanoid-9|8", 0.4), ("mujoco/pusher", 2.0), ("mujoco/hopper", 1.0)]
)
def test_actions_are_mapped_to_the_simulators_range(task, scale):
    env = make_env(task, seed=0)
    assert TeamSpec.from_env(env).action_high == 1
    data = env.reset()
    env.step(data.set(ACTION, torch.full_like(env.full_action_spec[ACTION].zero(), 0.5)))
    np.testing.assert_allclose(env._simulators.buffers.action, 0.5 * scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ({}, [0, 0, 0, 0, 1, 1, 1, 1]),
        ({"order": "robotics"}, [1, 1, 0, 0, 0, 0, 1, 1]),
        ({"layout": "local"}, [1, 1, 0, 0, 0, 0, 1, 1]),
        ({"layout": "local", "order": "omiga"}, [0, 0, 0, 0, 1, 1, 1, 1]),
    ],
)
def test_order_of_the_joint_action(options, slots):
    env = make_env("mujoco/ant-2x4", seed=0, **options)
    number = torch.arange(2.0)[:, None].expand(1, 2, 4)
    env.step(env.reset().set(ACTION, number))
    assert env._simulators.buffers.action[0].tolist() == slots


def test_contact_forces_of_zero():
    real = make_env("mujoco/ant-2x4", seed=0, layout="state", contact="real").rollout(20)
    zero = make_env("mujoco/ant-2x4", seed=0, layout="state", contact="zero").rollout(20)
    assert real["state"].shape[-1] == zero["state"].shape[-1] == 111
    assert real["state"][..., 27:].any() and not zero["state"][..., 27:].any()
    torch.testing.assert_close(real["state"][0, 0, :27], zero["state"][0, 0, :27])


@pytest.mark.parametrize(("actions", "executed"), [("raw", 0.5), ("clip", 0.5), ("scale", 2.0)])
def test_action_convention(actions, executed):
    env = make_env("mujoco/hopper-3x1", num_envs=2, seed=0, actions=actions)
    check_env_specs(env)
    data = env.step(env.reset().set(ACTION, torch.full((2, 3, 1), 0.5)))
    assert (env._simulators.buffers.action == executed).all()
    assert (data[ACTION] == 0.5).all()


def test_time_limits_truncate_and_falls_terminate():
    torch.manual_seed(0)  # draws the actions
    env = make_env("mujoco/hopper-3x1", num_envs=8, seed=0, max_steps=20)
    ends = env.rollout(120, break_when_any_done=False)["next"]
    late = ends["step_count"] == 20
    assert torch.equal(ends["truncated"], late) and late.any()
    assert (ends["terminated"] & ~late).any()
    assert torch.equal(ends["done"], ends["terminated"] | ends["truncated"])
    cheetah = make_env("mujoco/halfcheetah-6x1", num_envs=2, seed=0, max_steps=5).rollout(5)
    assert cheetah["next", "truncated"][:, -1].all() and not cheetah["next", "terminated"].any()


def test_own_time_limits():
    limits = {
        name: make_env(f"mujoco/{name}").max_steps for name in ("hopper-3x1", "reacher-2x1", "adroit-pen")
    }
    assert limits == {"hopper-3x1": 1000, "reacher-2x1": 50, "adroit-pen": 200}


def test_episode_reward_is_the_return_so_far_and_restarts():
    env = make_env("mujoco/halfcheetah-6x1", num_envs=2, seed=0, max_steps=4)
    rollout = env.rollout(8, break_when_any_done=False)
    per_episode = rollout["next", "reward"].unflatten(1, (2, 4))
    torch.testing.assert_close(rollout["next", "episode_reward"], per_episode.cumsum(2).flatten(1, 2))
    assert (rollout["episode_reward"][:, [0, 4]] == 0).all()


def test_partial_resets():
    env = make_env("mujoco/hopper-3x1", num_envs=3, seed=0)
    before = env.step_mdp(env.rand_step(env.reset()))
    after = env.reset(before.clone().set("_reset", torch.tensor([[False], [True], [False]])))
    same = (after["state"] == before["state"]).all(-1)
    assert same.tolist() == [True, False, True]
    assert after["step_count"].flatten().tolist() == [1, 0, 1]
    assert (after["episode_reward"] == 0).flatten().tolist() == [False, True, False]
    # The others go on from where they were.
    still = torch.zeros(3, 3, 1)
    assert env.step(after.set(ACTION, still))["next", "step_count"].flatten().tolist() == [2, 1, 2]


def test_an_ended_environment_stands_still_until_it_is_reset():
    env = make_env("mujoco/hopper-3x1", num_envs=4, seed=0, max_steps=30)
    data = env.reset()
    ended, seen = None, 0
    for _ in range(40):
        data = env.rand_step(data)
        after = data["next"]
        if ended is not None:
            stood = ended["done"].flatten()
            seen += int(stood.sum())
            for key in ("state", OBSERVATION, "step_count", "episode_reward", "terminated", "truncated"):
                assert torch.equal(after[key][stood], ended[key][stood])
            assert not after["reward"][stood].any()
        ended = after.clone()
        data = env.step_mdp(data)
    assert seen > 10 and ended["done"].all()


def test_local_features_have_one_order():
    # All simulators start from one seed, so that equal states mean equal observations.
    env = make_env("mujoco/pusher-3p", num_envs=8, layout="local", obsk=0)
    env._simulators.buffers.seed[:] = 3
    seen = env.reset()[OBSERVATION]
    assert torch.equal(seen, seen[:1].expand_as(seen))


@pytest.mark.parametrize("layout", ["omiga", "local", "state"])
def test_raw_state_is_the_simulators_observation(layout):
    env = make_env("mujoco/pusher-3p", num_envs=2, seed=3, layout=layout, raw_state=True)
    check_env_specs(env)
    env.set_seed(3)
    expected = make_env("mujoco/pusher", num_envs=2, seed=3).reset()["state"]
    raw = env.reset()["raw_state"]
    assert raw.shape == (2, 23) and torch.equal(raw, expected)


def test_random_actions_fill_the_range():
    env = make_env("mujoco/humanoid-9|8", num_envs=50, seed=0)
    torch.manual_seed(0)
    action = env.rand_action()[ACTION]
    assert env.full_action_spec.is_in(env.rand_action())
    assert action.min() < -0.99 and action.max() > 0.99 and action.mean().abs() < 0.1
    torch.manual_seed(0)
    data = env.reset()
    assert torch.equal(env.rand_action(data)[ACTION], action) and ACTION in data.keys(True)


def test_partial_steps():
    env = make_env("mujoco/halfcheetah-6x1", num_envs=2, seed=0)
    data = env.rand_action(env.reset())
    after = env.step(data.clone().set("_step", torch.tensor([True, False])))["next"]
    assert (after["state"] == data["state"]).all(-1).tolist() == [False, True]
    assert after["step_count"].flatten().tolist() == [1, 0]


def test_seeds():
    def play(seed, num_envs=3):
        env = make_env("mujoco/hopper-3x1", num_envs=num_envs, seed=seed)
        data, states = env.reset(), []
        for _ in range(30):
            data = env.maybe_reset(env.step_mdp(env.step(data.set(ACTION, torch.ones(num_envs, 3, 1)))))
            states.append(data["state"])
        return torch.stack(states)

    before = torch.random.get_rng_state()
    first = play(3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first, play(3))
    assert not torch.equal(first, play(4))
    assert not torch.equal(first[:, 0], first[:, 1])
    # A simulator's stream does not depend on how many there are beside it.
    assert torch.equal(first[:, :2], play(3, num_envs=2))


def test_set_seed_restarts():
    env = make_env("mujoco/halfcheetah-6x1", num_envs=2, seed=0)
    first = env.reset()["state"]
    assert not torch.equal(first, env.reset()["state"])
    env.set_seed(0)
    assert torch.equal(first, env.reset()["state"])


def test_evaluation_and_recording():
    env = make_env("mujoco/hopper-3x1", num_envs=4, seed=0, max_steps=50)

    def act(data):
        return data.set(ACTION, torch.zeros(4, 3, 1))

    first = evaluate(act, env, episodes=6, seed=0)
    assert len(first.lengths) == 6 and first.lengths.tolist() == [50] * 6
    assert torch.equal(first.returns, evaluate(act, env, episodes=6, seed=0).returns)
    played = record_episodes(None, env, episodes=4)
    assert len(played) == 4 and played.observation.shape[1:] == (3, 14) and played.state is None
    assert played.length.max() <= 50


def test_torchrl_batches_and_collectors():
    serial = SerialEnv(2, lambda: make_env("mujoco/hopper-3x1", num_envs=3, seed=0))
    check_env_specs(serial)
    rollout = serial.rollout(30, break_when_any_done=False)
    assert rollout["next", "done"].any() and rollout.batch_size == (2, 3, 30)
    env = make_env("mujoco/hopper-3x1", num_envs=3, seed=0)
    collector = Collector(env, frames_per_batch=60, total_frames=120)
    batches = list(collector)
    collector.shutdown()
    assert [batch.numel() for batch in batches] == [60, 60]
    lengths = batches[1]["next", "step_count"][batches[1]["next", "done"]]
    assert (lengths > 1).any()


def test_rollouts_until_all_are_done():
    env = make_env("mujoco/hopper-3x1", num_envs=3, seed=0)
    rollout = env.rollout(1000, break_when_any_done=False, break_when_all_done=True)
    assert rollout["next", "done"][:, -1].all() and not rollout["next", "done"][:, -2].all()


@pytest.mark.slow
def test_parallel_env():
    parallel = ParallelEnv(2, functools.partial(make_env, "mujoco/hopper-3x1", num_envs=3, seed=0))
    try:
        check_env_specs(parallel)
        assert parallel.rollout(30, break_when_any_done=False).batch_size == (2, 3, 30)
    finally:
        parallel.close()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"layout": "local"}])
def test_workers_change_nothing_but_the_speed(options):
    def play(workers):
        env = make_env("mujoco/walker2d-2x3", num_envs=5, seed=3, workers=workers, **options)
        torch.manual_seed(0)
        rollout = env.rollout(100, break_when_any_done=False)
        env.close()
        return rollout

    alone, shared = play(0), play(2)
    assert alone["next", "done"].any()
    assert (alone == shared).all()


@pytest.mark.slow
def test_errors_in_workers_reach_the_caller():
    simulation = Simulation(find_task("hopper"), {"xml_file": "no_such_robot.xml"})
    with pytest.raises(RuntimeError, match=r"(?s)a worker process failed.*no_such_robot.xml"):
        SimulatorWorkers(simulation, num_envs=2, n_actions=3, width=11, workers=1)


def test_building_leaves_no_trace(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_env("mujoco/halfcheetah-6x1", num_envs=2)
    assert list(tmp_path.iterdir()) == []
    assert "settotalmass" not in capfd.readouterr().err
    assert mujoco.get_mju_user_warning() is None


def test_bad_action_names_the_agent():
    env = make_env("mujoco/halfcheetah-2x3", num_envs=4, seed=0)
    action = torch.zeros(4, 2, 3)
    action[2, 1, 0] = torch.nan
    with pytest.raises(DataError, match=r"'action'\) of agent 1 is NaN or infinite in 1 of 4 environments"):
        env.step(env.reset().set(ACTION, action))


def test_wrong_action_size():
    env = make_env("mujoco/halfcheetah-2x3", num_envs=4, seed=0)
    with pytest.raises(ValueError, match=r"has shape \(4, 2, 1\); expected .* = \(4, 2, 3\)"):
        env.step(env.reset().set(ACTION, torch.zeros(4, 2, 1)))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hoper-3x1", {}, r"unknown task 'mujoco/hoper-3x1'; did you mean 'mujoco/hopper-3x1'"),
        (
            "ant-3x1",
            {},
            r"unknown partition .*mujoco/ant-2x4, mujoco/ant-2x4d, mujoco/ant-2.6, mujoco/ant-4x2",
        ),
        ("manysegmentant-2", {}, r"unknown partition 'mujoco/manysegmentant-2'"),
        ("hopper-3x1", {"layout": "global"}, r"unknown layout 'global'.*local, omiga, state"),
        ("hopper-3x1", {"order": "random"}, r"unknown order 'random'.*omiga, robotics"),
        ("hopper-3x1", {"actions": "tanh"}, r"unknown action convention 'tanh'"),
        ("hopper-3x1", {"version": "v9"}, r"unknown version 'v9'.*v4, v5"),
        ("hopper-3x1", {"contact": "real"}, r"contact='real' with mujoco/hopper-3x1.*task of ant"),
        ("ant-2x4", {"contact": "none"}, r"unknown contact 'none'.*real, zero"),
        (
            "ant-2x4",
            {"contact": "zero", "version": "v5"},
            r"contact='zero' with .*, version 'v5'",
        ),
        ("hopper", {"layout": "local"}, r"layout='local' with mujoco/hopper.*a partition"),
        ("ant-2x4", {"layout": "local", "version": "v4"}, r"layout='local' .*version 'v4'"),
        ("hopper-3x1", {"layout": "local", "obsk": -1}, r"obsk=-1; expected 0"),
        ("hopper-3x1", {"workers": -1}, r"workers=-1; expected 0"),
    ],
)
def test_bad_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_env(f"mujoco/{name}", **options)


@pytest.mark.parametrize("missing", ["gymnasium", "gymnasium_robotics", "mujoco"])
def test_missing_packages_name_the_extra(missing, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else find(name, *a)
    )
    with pytest.raises(ImportError, match=rf'{missing} is missing. pip install "omiga-torchrl\[mujoco\]"'):
        make_env("mujoco/hopper-3x1")
