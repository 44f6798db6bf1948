"""MuJoCo tasks step by step against simulators that are driven by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.envs import make_env, mujoco_tasks

gymnasium = pytest.importorskip("gymnasium")
pytest.importorskip("mujoco")
mamujoco_v1 = pytest.importorskip("gymnasium_robotics").mamujoco_v1

ACTION = ("agents", "action")
OBSERVATION = ("agents", "observation")

TEAMS = {
    "ant-2x4": ("Ant", "2x4"),
    "ant-2x4d": ("Ant", "2x4d"),
    "ant-4x2": ("Ant", "4x2"),
    "halfcheetah-2x3": ("HalfCheetah", "2x3"),
    "halfcheetah-6x1": ("HalfCheetah", "6x1"),
    "hopper-3x1": ("Hopper", "3x1"),
    "humanoid-9|8": ("Humanoid", "9|8"),
    "humanoidstandup-9|8": ("HumanoidStandup", "9|8"),
    "manysegmentant-2x3": ("ManySegmentAnt", "2x3"),
    "manysegmentswimmer-10x2": ("ManySegmentSwimmer", "10x2"),
    "pusher-3p": ("Pusher", "3p"),
    "reacher-2x1": ("Reacher", "2x1"),
    "swimmer-2x1": ("Swimmer", "2x1"),
    "walker2d-2x3": ("Walker2d", "2x3"),
}
SINGLE = {
    "adroit-door": "AdroitHandDoor-v1",
    "adroit-hammer": "AdroitHandHammer-v1",
    "adroit-pen": "AdroitHandPen-v1",
    "adroit-relocate": "AdroitHandRelocate-v1",
    "ant": "Ant-v5",
    "halfcheetah": "HalfCheetah-v5",
    "hopper": "Hopper-v5",
    "humanoid": "Humanoid-v5",
    "humanoidstandup": "HumanoidStandup-v5",
    "inverteddoublependulum": "InvertedDoublePendulum-v5",
    "invertedpendulum": "InvertedPendulum-v5",
    "pusher": "Pusher-v5",
    "reacher": "Reacher-v5",
    "swimmer": "Swimmer-v5",
    "walker2d": "Walker2d-v5",
}
MAZES = ("antmaze-large", "antmaze-medium", "antmaze-umaze")

# Gymnasium calls the versions of the published data out of date.
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    # A simulator built by hand logs MuJoCo's warnings into the working directory.
    monkeypatch.chdir(tmp_path)


def second_seed(seed: int) -> int:
    return int(np.random.SeedSequence(seed).generate_state(2)[1])


def close(found: object, expected: object) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6, atol=1e-6)


def standardised(vector, n_agents):
    """OMIGA's observations of one simulator, agent by agent."""
    rows = [np.concatenate([vector, np.eye(n_agents)[agent]]) for agent in range(n_agents)]
    return np.stack([(row - np.mean(row)) / np.std(row) for row in rows])


def compare(env, steps, reset, step, sizes):
    """Drive the second of two environments and a simulator with the same random actions.

    The first one gets other actions. `step` takes one action per agent, without padding and
    in [-1, 1], and says (observation, state, reward, terminated, truncated); `reset` says
    (observation, state).
    """
    generator = np.random.default_rng(0)
    data = env.reset()
    expected = reset(second_seed(7))
    total, count = 0.0, 0
    for _ in range(steps):
        close(data[OBSERVATION][1], expected[0])
        close(data["state"][1], expected[1])
        action = generator.uniform(-1, 1, (2, len(sizes), max(sizes))).astype(np.float32)
        data = env.step(data.set(ACTION, torch.from_numpy(action)))
        observation, state, reward, terminated, truncated = step(
            [one[:size] for one, size in zip(action[1], sizes, strict=True)]
        )
        total, count = total + reward, count + 1
        after = data["next"][1]
        close(after[OBSERVATION], observation)
        close(after["state"], state)
        close(after["reward"], [reward])
        close(after["episode_reward"], [total])
        assert after["step_count"].item() == count
        assert after["terminated"].item() == terminated and after["truncated"].item() == truncated
        assert after["done"].item() == (terminated or truncated)
        expected = observation, state
        if terminated or truncated:
            expected, total, count = reset(None), 0.0, 0
        data = env.maybe_reset(env.step_mdp(data))


def compare_omiga(name, steps):
    scenario, partition = TEAMS[name]
    if scenario == "Ant":
        joint = gymnasium.make("Ant-v4", use_contact_forces=True)
    else:
        joint = mamujoco_v1.parallel_env(scenario, partition, agent_obsk=0).single_agent_env
    env = make_env(f"mujoco/{name}", num_envs=2, seed=7)
    sizes = env.action_feature_mask.sum(-1).tolist()
    scale = joint.action_space.high[0]

    def see(vector):
        rows = standardised(vector, len(sizes))
        return rows, rows.reshape(-1)

    def step(actions):
        vector, *rest, _ = joint.step(scale * np.concatenate(actions))
        return (*see(vector), *rest)

    compare(env, steps, lambda seed: see(joint.reset(seed=seed)[0]), step, sizes)


def compare_robotics(name, steps, layout, obsk=1):
    team = mamujoco_v1.parallel_env(*TEAMS[name], agent_obsk=obsk)
    # Two joints of Pusher have one name, which leaves their order in the library to chance.
    for near in team.k_dicts:
        for joints in near.values():
            joints.sort(key=lambda joint: (joint.label, joint.act_ids))
    env = make_env(f"mujoco/{name}", num_envs=2, seed=7, layout=layout, obsk=obsk)
    agents = team.possible_agents
    sizes = [team.action_space(agent).shape[0] for agent in agents]
    scale = team.single_agent_env.action_space.high[0]
    width = env.observation_mask.shape[1]

    def see(local):
        vector = team.state()
        if layout == "state":
            return np.stack([vector] * len(agents)), vector
        assert [len(local[agent]) for agent in agents] == env.observation_mask.sum(-1).tolist()
        return np.stack([np.pad(local[agent], (0, width - len(local[agent]))) for agent in agents]), vector

    def step(actions):
        scaled = {agent: scale * one for agent, one in zip(agents, actions, strict=True)}
        local, *rest, _ = team.step(scaled)
        return (*see(local), *(one[agents[0]] for one in rest))

    compare(env, steps, lambda seed: see(team.reset(seed)[0]), step, sizes)


def compare_single(name, steps, **options):
    joint = gymnasium.make(options.pop("env_id", SINGLE.get(name)), **options)
    version = joint.spec.id.rpartition("-")[2]
    env = make_env(f"mujoco/{name}", num_envs=2, seed=7, version=version)
    scale = joint.action_space.high[0]

    def see(observation):
        if isinstance(observation, dict):
            order = ("achieved_goal", "observation", "desired_goal")
            observation = np.concatenate([observation[key] for key in order])
        return observation[None], observation

    def step(actions):
        observation, *rest, _ = joint.step(scale * actions[0])
        return (*see(observation), *rest)

    sizes = joint.action_space.shape
    compare(env, steps, lambda seed: see(joint.reset(seed=seed)[0]), step, sizes)


def maze(name):
    env_id = {"antmaze-umaze": "AntMaze_UMaze", "antmaze-medium": "AntMaze_Medium"}.get(name, "AntMaze_Large")
    cell = {"antmaze-umaze": (3, 1), "antmaze-medium": (6, 6)}.get(name, (7, 10))
    rows = [list(row) for row in gymnasium.spec(f"{env_id}-v4").kwargs["maze_map"]]
    rows[1][1], rows[cell[0]][cell[1]] = "r", "g"
    return {"env_id": f"{env_id}-v4", "maze_map": rows, "continuing_task": False}


def test_every_listed_task_is_compared():
    equal_parts = [name for name in mujoco_tasks() if "|" not in name or name in TEAMS]
    assert sorted([*TEAMS, *SINGLE, *MAZES]) == equal_parts  # unequal ones: test_mujoco


@pytest.mark.parametrize("name", TEAMS)
def test_omiga_layout_is_the_joint_simulator(name):
    compare_omiga(name, 50)


@pytest.mark.parametrize("name", TEAMS)
def test_local_layout_is_gymnasium_robotics(name):
    compare_robotics(name, 50, "local")


@pytest.mark.parametrize("name", SINGLE)
def test_one_agent_is_gymnasium(name):
    compare_single(name, 50)


@pytest.mark.parametrize("name", MAZES)
def test_mazes_are_gymnasium_robotics(name):
    compare_single(name, 20, **maze(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", TEAMS)
def test_omiga_layout_is_the_joint_simulator_for_long(name):
    compare_omiga(name, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("obsk", [0, 1, 2])
@pytest.mark.parametrize("name", TEAMS)
def test_local_layout_is_gymnasium_robotics_for_long(name, obsk):
    compare_robotics(name, 1000, "local", obsk)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEAMS)
def test_state_layout_is_gymnasium_robotics_for_long(name):
    compare_robotics(name, 1000, "state")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SINGLE, *MAZES])
def test_one_agent_is_gymnasium_for_long(name):
    compare_single(name, 1000, **(maze(name) if name in MAZES else {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hopper", "halfcheetah", "walker2d", "ant"])
def test_old_versions_are_gymnasium_for_long(name):
    compare_single(name, 1000, env_id=SINGLE[name].replace("v5", "v4"))
