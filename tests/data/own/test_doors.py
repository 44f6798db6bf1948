"""The three doors: every argument arrives where it belongs, and gives what the others give."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.own.runs import NAMES

T, N = 5, 2
RNG = np.random.default_rng(0)
GIVEN = {
    "observation": RNG.normal(size=(T, N, 3)),
    "action": RNG.integers(3, size=(T, N)),
    "reward": np.arange(1.0, T + 1),
    "terminated": np.array([0, 1, 0, 0, 0]),
    "truncated": np.array([0, 0, 0, 0, 1]),
    "state": RNG.normal(size=(T, 4)),
    "action_mask": np.ones((T, N, 3)),
    "agent_mask": np.array([[1, 1], [1, 0], [1, 1], [0, 1], [1, 1]]),
    "agent_reward": RNG.normal(size=(T, N)),
    "episode": np.array([7, 7, 8, 8, 8]),
}
AFTER = {
    "next_observation": np.concatenate([GIVEN["observation"][1:], RNG.normal(size=(1, N, 3))]),
    "next_state": np.concatenate([GIVEN["state"][1:], RNG.normal(size=(1, 4))]),
    "next_action_mask": np.ones((T, N, 3)),
    "next_agent_mask": np.ones((T, N)),
}
AFTER["next_observation"][1] = 9.0  # the first episode ends here


def rewards(dataset):
    return dataset.data["next", "reward"].flatten().tolist()


def test_arrays_are_taken_by_all_their_names():
    assert set(NAMES) <= set(inspect.signature(OfflineDataset.from_arrays).parameters)


def test_all_arrays_arrive():
    dataset = OfflineDataset.from_arrays(**GIVEN, **AFTER, reward_scale=None, name="mine", card={"task": "t"})
    data = dataset.data
    assert (dataset.card.name, dataset.card.task, dataset.card.layout) == ("mine", "t", "arrays")
    assert rewards(dataset) == [1, 2, 3, 4, 5] and data["episode"].tolist() == [0, 0, 1, 1, 1]
    assert data["next", "terminated"].flatten().tolist() == [False, True, False, False, False]
    assert data["next", "truncated"].flatten().tolist() == [False, False, False, False, True]
    np.testing.assert_allclose(data["state"], GIVEN["state"], rtol=1e-6)
    np.testing.assert_allclose(data["next", "state"][:], AFTER["next_state"], rtol=1e-6)
    np.testing.assert_allclose(data["next", "agents", "observation"][:], AFTER["next_observation"], rtol=1e-6)
    np.testing.assert_array_equal(data["agents", "agent_mask"], GIVEN["agent_mask"] > 0)
    assert data["next", "agents", "agent_mask"][4].all() and data["agents", "action_mask"].all()
    np.testing.assert_allclose(data["next", "agents", "reward"][..., 0], GIVEN["agent_reward"], rtol=1e-6)
    assert dataset.spec.action_size == 3 and dataset.spec.state_size == 4


def test_what_is_said_of_all_data_arrives():
    few = {name: GIVEN[name] for name in ("observation", "action", "reward", "terminated")}
    with pytest.raises(ValueError, match="number of discrete actions is unknown"):
        OfflineDataset.from_arrays(**few)
    dataset = OfflineDataset.from_arrays(**few, n_actions=4, team=["x", "y"], batch_size=3)
    assert dataset.spec.action_size == 4 and dataset.sample().batch_size == (3,)
    assert dataset.spec.agent_names == ("x", "y") and dataset.card.name == "arrays"
    assert rewards(OfflineDataset.from_arrays(**few, n_actions=4, reward_scale=2.0)) == [0.5, 1, 1.5, 2]


def test_options_of_reading_are_told_from_those_of_the_dataset():
    own = {**GIVEN, "reward": GIVEN["agent_reward"], "agent_reward": None}
    dataset = OfflineDataset.from_arrays(**own, **AFTER, team_reward="sum", reward_scale=None)
    np.testing.assert_allclose(rewards(dataset), GIVEN["agent_reward"].sum(1), rtol=1e-5)
    assert ("next", "agents", "reward") not in dataset.data.keys(True) and dataset.card.team_reward == "sum"
    kept = OfflineDataset.from_arrays(**own, **AFTER, team_reward="sum", agent_rewards=True)
    assert ("next", "agents", "reward") in kept.data.keys(True)
    with pytest.raises(TypeError, match="colour"):
        OfflineDataset.from_arrays(**own, **AFTER, team_reward="sum", colour=1)


def test_the_doors_give_the_same(tmp_path):
    def episodes():
        for rows in (slice(0, 2), slice(2, 5)):
            keys = [name for name in (*GIVEN, *AFTER) if name != "episode"]
            yield {name: {**GIVEN, **AFTER}[name][rows] for name in keys}

    arrays = OfflineDataset.from_arrays(**GIVEN, **AFTER)
    streamed = OfflineDataset.from_episodes(episodes(), root=tmp_path, card={"tier": "x"})
    assert streamed.card.data_sha256 == arrays.card.data_sha256
    assert (streamed.card.name, streamed.card.layout, streamed.card.tier) == ("episodes", "episodes", "x")
    assert streamed.data_path.is_relative_to(tmp_path)
    again = OfflineDataset.from_rollouts(arrays.data[:], n_actions=3, reward_scale=None, name="mine")
    assert (again.card.name, again.card.layout, len(again)) == ("mine", "rollouts", 5)
    np.testing.assert_array_equal(again.data["agents", "action"], arrays.data["agents", "action"])
    np.testing.assert_allclose(rewards(again), rewards(arrays))
