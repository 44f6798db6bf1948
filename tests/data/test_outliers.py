"""Single values that decide a standard deviation are told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, check_dataset
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes


def test_one_huge_reward_is_told_and_beyond_single_precision_refused(write):
    episodes = make_episodes((50, 100))
    episodes.reward[7] = 1e15
    with pytest.warns(UserWarning, match=r"toy/one: rewards are divided .* the largest is 1e\+15 in row 7.*"):
        dataset = write(episodes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OfflineDataset(dataset.source.path, reward_scale=1.0)
        OfflineDataset(dataset.source.path, reward_scale=None)
    episodes.reward[7] = 1e30
    with pytest.raises(DataError, match=r"'reward' is beyond 1e\+18 in 1 rows, first near row 7"):
        write(episodes, folder="more")


@pytest.mark.parametrize("normalised", [False, True])
def test_one_huge_observation_is_told(write, normalised):
    episodes = make_episodes((50, 100))
    episodes.observation[9, 1, 3] = -1e12
    dataset = write(episodes, normalise_observations=normalised)
    with pytest.warns(UserWarning, match=r"of 'agents', features \[3\]: 99 in 100 values .* row 9"):
        check_dataset(dataset)
    episodes.observation[9, 1, 3] = 1e30
    with pytest.raises(DataError, match=r"'observation' is beyond 1e\+18 in 1 rows"):
        write(episodes, folder="more")


def test_rare_rewards_and_features_are_nothing_unusual(write):
    episodes = make_episodes((400, 600))
    episodes.reward[:] = 0.0
    episodes.reward[3] = 100.0  # a rare success
    episodes.observation[..., 0] = 0.0
    episodes.observation[5, 0, 0] = 1.0  # a flag that is hardly ever set
    episodes.observation[..., 1] = np.float32(0.7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_dataset(write(episodes))
