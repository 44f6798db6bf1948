"""Wrong preprocessing of observations is found before training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from omiga_torchrl.data import (
    Episodes,
    OfflineDataset,
    check_dataset_fits,
    find_dataset,
    read_card,
    record_episodes,
    write_recording,
)
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import make_card


@pytest.fixture
def recorded():
    return Episodes.load(find_dataset("vmas/navigation/mixed") / "data.npz").first(120)


@pytest.fixture
def env():
    return make_env("vmas/navigation", num_envs=32)


def opened(write, episodes):
    card = dataclasses.replace(read_card(find_dataset("vmas/navigation/mixed")), name="toy")
    return write(episodes, card=card)


def test_the_same_preprocessing_passes(write, recorded, env):
    check_dataset_fits(opened(write, recorded), env)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: (o - o.mean(-1, keepdims=True)) / o.std(-1, keepdims=True),  # standardised per vector
        lambda o: np.roll(o, 2, axis=-1),  # another order of features
        lambda o: o + np.eye(3, 18, dtype=np.float32),  # a number of the agent in it
    ],
    ids=["standardised", "reordered", "numbered"],
)
def test_another_preprocessing_is_found(write, recorded, env, change):
    recorded.observation = change(recorded.observation).astype(np.float32)
    with pytest.raises(DataError, match=r"first observations differ from fresh resets in \d+ of 54 features"):
        check_dataset_fits(opened(write, recorded), env)


def test_a_copied_episode_is_found(write, recorded):
    from omiga_torchrl.data import check_dataset

    doubled = Episodes.concatenate([recorded.first(3), recorded.part(1, 2)])
    dataset = opened(write, doubled)
    assert isinstance(dataset, OfflineDataset)
    with pytest.raises(DataError, match=r"1 of 4 episodes repeat the actions of .*first: 3 repeats 1"):
        check_dataset(dataset)
    check_dataset(dataset, allow_duplicates=True)


@pytest.mark.parametrize("task", ["halfcheetah-6x1", "hopper-3x1", "walker2d-2x3", "ant-4x2"])
def test_recorded_actions_are_replayed(tmp_path, task):
    pytest.importorskip("gymnasium_robotics")

    def make():
        return make_env(f"mujoco/{task}", num_envs=4, seed=0, layout="state", max_steps=60)

    played = record_episodes(None, make(), transitions=400)
    env = make()
    spec = TeamSpec.from_env(env)
    card = make_card(played, task=f"mujoco/{task}", sizes={**spec.to_dict(), "state_size": spec.state_size})
    write_recording(tmp_path / "good", played, card)
    check_dataset_fits(OfflineDataset(tmp_path / "good", root=tmp_path / "cache"), env)
    # the joints in another order
    played.action = played.action[:, ::-1].copy()
    write_recording(tmp_path / "bad", played, card)
    with pytest.raises(DataError, match=r"recorded actions lead elsewhere in \d+ of 100 steps"):
        check_dataset_fits(OfflineDataset(tmp_path / "bad", root=tmp_path / "cache"), env)


def test_discrete_episodes_with_the_same_actions_are_copies_only_if_they_saw_the_same():
    from omiga_torchrl.data.value_checks import find_copies

    spec = TeamSpec(3, 5, 4, 7, discrete=True)
    data = spec.fake_batch(6)
    data["episode"] = torch.tensor([0, 0, 0, 1, 1, 1])
    data["agents", "action"][3:] = data["agents", "action"][:3]
    assert not find_copies(data)
    data["agents", "observation"][3:] = data["agents", "observation"][:3]
    assert "1 of 2 episodes repeat" in find_copies(data)[0]
