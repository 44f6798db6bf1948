"""Normalised observations: once in the data, the same in the environment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data import Normalisation, OfflineDataset, check_dataset_fits
from omiga_torchrl.envs import make_env

from .conftest import make_card, make_episodes
from .layouts.helpers_hdf5 import write_h5


@pytest.mark.parametrize("stored_state", [False, True])
def test_mean_zero_and_deviation_one(write, stored_state):
    episodes = make_episodes((40, 60), stored_state=stored_state)
    episodes.observation[..., 2] = 0.7  # never changes: centred, not divided
    raw = write(episodes)
    data = OfflineDataset(raw.source.path, normalise_observations=True).data
    ours, theirs = data["agents", "observation"], raw.data["agents", "observation"]
    card = raw.card
    std = np.where(np.array(card.observation_std) > 1e-6, card.observation_std, 1.0)
    expected = (theirs.numpy() - np.array(card.observation_mean)) / std
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)
    assert float(ours[..., 2].abs().max()) < 1e-6
    following = (raw.data["next", "agents", "observation"].numpy() - np.array(card.observation_mean)) / std
    np.testing.assert_allclose(data["next", "agents", "observation"].numpy(), following, atol=1e-5)
    if stored_state:
        whole = (raw.data["state"].numpy() - np.array(card.state_mean)) / np.array(card.state_std)
        np.testing.assert_allclose(data["state"].numpy(), whole, atol=1e-5)
    else:
        assert torch.equal(data["state"], ours.flatten(1))
    # everything else is the same
    for key in (("agents", "action"), ("next", "reward"), ("next", "done"), "episode"):
        assert torch.equal(data[key], raw.data[key])


def test_environment_and_data_agree():
    dataset = OfflineDataset("vmas/navigation/mixed", normalise_observations=True)
    env = make_env("vmas/navigation", num_envs=8, seed=0)
    check_dataset_fits(dataset, env)
    plain = env.rollout(5)
    env = dataset.normalisation.apply_to(make_env("vmas/navigation", num_envs=8, seed=0))
    scaled = env.rollout(5)
    for key, mean, std in (
        (("agents", "observation"), "observation_mean", "observation_std"),
        ("state", "state_mean", "state_std"),
    ):
        first = (plain[key][:, 0] - torch.tensor(getattr(dataset.normalisation, mean))) / torch.tensor(
            getattr(dataset.normalisation, std)
        )
        torch.testing.assert_close(scaled[key][:, 0], first, atol=1e-4, rtol=1e-4)
    assert env.task_name == "vmas/navigation"


def test_plain_values_round_trip(write, episodes):
    dataset = write(episodes, card=make_card(episodes), normalise_observations=True)
    assert Normalisation(**dataset.normalisation.to_dict()) == dataset.normalisation


def test_a_feature_that_hardly_varies_is_not_blown_up(write):
    """What an environment shows of a force that the data never feel stays of the size of other features."""
    episodes = make_episodes((40, 60))
    episodes.observation[..., 2] = 1e-5 * episodes.observation[..., 1]
    raw = write(episodes)
    with pytest.warns(UserWarning, match=r"agents/observation: the features \[2\] vary by .*e-0"):
        scaled = OfflineDataset(raw.source.path, normalise_observations=True)
    std = scaled.normalisation.observation_std
    usual = float(np.median(raw.card.observation_std[:2] + raw.card.observation_std[3:]))
    assert std[2] == pytest.approx(usual, rel=0.2)
    assert std[:2] == raw.card.observation_std[:2]


def test_a_time_since_1970_is_scaled_before_the_cast(tmp_path):
    """Steps of a second around 1.7e9, of which single precision only knows every 128th."""
    rows = 400
    end = np.arange(rows) % 100 == 99
    time = 1.7e9 + np.arange(rows, dtype=np.float64)
    observation = np.stack([time, np.sin(np.arange(rows))], 1)
    fields = {"observations": observation, "actions": np.sin(observation[:, 1:]).astype(np.float32)}
    fields |= {"rewards": observation[:, 1], "terminals": end, "timeouts": np.zeros(rows, bool)}
    file = write_h5(tmp_path / "clock.hdf5", fields)
    dataset = OfflineDataset(file, root=tmp_path, normalise_observations=True)
    found = dataset.data["agents", "observation"][:, 0, 0].numpy()
    # Last rows of terminated episodes stand in for what follows and count in the statistics, too.
    mean, std = (x[0] for x in (dataset.card.observation_mean, dataset.card.observation_std))
    np.testing.assert_allclose(found, (time - mean) / std, atol=1e-5)
    assert len(np.unique(found)) == rows
    assert torch.equal(dataset.data["state"], dataset.data["agents", "observation"].flatten(1))


def test_a_stream_that_is_read_once_is_scaled_from_what_was_kept_of_it():
    def episodes():
        for first in (0, 50):
            steps = np.arange(first, first + 50)
            seen = np.stack([1e5 + steps, np.sin(steps)], 1)[:, None].astype(np.float32)
            ends = np.append(np.zeros(49, bool), True)
            yield {"observation": seen, "action": np.sin(seen), "reward": seen[:, 0, 1], "terminated": ends}

    dataset = OfflineDataset.from_episodes(episodes(), normalise_observations=True, reward_scale=None)
    found = dataset.data["agents", "observation"][:, 0].double()
    assert found.mean(0).abs().max() < 0.05 and (found.std(0, correction=0) - 1).abs().max() < 0.05
    assert len(found[:, 0].unique()) == 100
