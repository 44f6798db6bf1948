"""Time limits of data and environments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, check_dataset_fits
from omiga_torchrl.data.horizon import find_other_horizon, recorded_lengths, time_limit_of
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError


@pytest.fixture
def short(tmp_path: Path) -> OfflineDataset:
    """Ten episodes of 20 steps, without a word on how long they may be."""
    env = make_env("vmas/navigation", num_envs=10, seed=0, max_steps=20)
    return OfflineDataset.from_rollouts(env.rollout(20), card={"task": "vmas/navigation"}, root=tmp_path)


def test_other_horizons_are_named_and_the_own_one_passes(short: OfflineDataset) -> None:
    with pytest.raises(DataError, match=r"time is over after 20 steps in the data, after 100 in the env"):
        check_dataset_fits(short, make_env("vmas/navigation"))
    with pytest.raises(DataError, match=r"episodes last up to 20 steps in the data, and 15 in the env"):
        check_dataset_fits(short, make_env("vmas/navigation", max_steps=15))
    check_dataset_fits(short, make_env("vmas/navigation", max_steps=20))
    check_dataset_fits(short, make_env("vmas/navigation"), horizon=False)


def test_ends_of_one_length_are_time_limits_whatever_they_are_called(tmp_path: Path) -> None:
    ends = np.arange(60) % 5 == 4
    arrays = np.zeros((60, 2, 3)), np.zeros((60, 2, 1)), np.zeros(60), ends
    data = OfflineDataset.from_arrays(*arrays, root=tmp_path).data
    [found] = find_other_horizon(data, 0, make_env("vmas/navigation"))
    assert "time is over after 5 steps in the data" in found
    assert find_other_horizon(data, 0, make_env("vmas/navigation"), ends_are_told=True) == []


def test_lengths_are_those_of_the_episodes(short: OfflineDataset) -> None:
    lengths, truncated = recorded_lengths(short.data)
    assert lengths.tolist() == [20] * 10 and truncated.all()


def test_episodes_that_end_by_themselves_say_nothing_of_a_limit(tmp_path: Path) -> None:
    steps = 12
    data = OfflineDataset.from_arrays(
        np.zeros((steps, 2, 3)),
        np.zeros((steps, 2, 1)),
        np.zeros(steps),
        np.arange(steps) % 4 == 3,
        root=tmp_path,
    ).data
    assert find_other_horizon(data, 0, make_env("vmas/navigation")) == []
    assert find_other_horizon(data, 0, make_env("vmas/navigation", max_steps=3)) != []


@pytest.mark.parametrize(
    ("task", "limit"), [("mujoco/hopper-3x1", 1000), ("smax/3m", 100), ("tabular/xor", 1)]
)
def test_every_simulator_says_its_limit(task: str, limit: int) -> None:
    assert time_limit_of(make_env(task)) == limit
