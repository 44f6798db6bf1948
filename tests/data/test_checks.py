"""Every finding of `check_dataset` and `check_dataset_fits`, alone and together."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.data import OfflineDataset, check_dataset, check_dataset_fits, episodes_to_tensordict
from omiga_torchrl.envs import make_env
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import make_episodes


@pytest.fixture
def data(episodes):
    return episodes_to_tensordict(episodes)


@pytest.mark.parametrize("options", [{}, {"masked": True}, {"stored_state": True}])
def test_sound_data_pass(write, options):
    dataset = write(make_episodes(**options))
    check_dataset(dataset)
    check_dataset(dataset.data, dataset.spec)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", [("agents", "observation"), ("next", "reward"), ("agents", "action")])
def test_not_finite(data, key, value):
    data[key][3] = value
    with pytest.raises(DataError, match=rf"'{key[-1]}'\) is NaN or infinite in 1 rows, first in row 3"):
        check_dataset(data)


def test_not_finite_in_a_written_dataset(write, episodes):
    episodes.observation[2] = float("nan")
    with pytest.raises(
        DataError, match=r"toy/one: 'observation' is NaN or infinite in 1 rows, first near row"
    ):
        write(episodes)


def test_action_outside_its_bounds(data):
    data["agents", "action"][5, 0, 0] = 1.2
    with pytest.raises(DataError, match=r"'action'\) is outside \[-1, 1\] in 1 rows, first in row 5"):
        check_dataset(data)
    check_dataset(data, TeamSpec(2, 5, 2, 10, action_low=-2.0, action_high=2.0))


def test_discrete_action_out_of_range_or_masked():
    data = episodes_to_tensordict(make_episodes(masked=True))
    data["agents", "action"][1, 0] = 3
    with pytest.raises(DataError, match=r"outside \[0, 2\] in 1 rows, first in row 1"):
        check_dataset(data)
    data["agents", "action"][1, 0] = 2
    data["agents", "action_mask"][1, 0, 2] = False
    with pytest.raises(DataError, match="illegal under the mask in 1 rows, first in row 1"):
        check_dataset(data)


def test_wrong_agents_and_missing_state(data):
    spec = TeamSpec(3, 5, 2, 10)
    del data["next", "state"]
    with pytest.raises(DataError, match=r"shape \('T', 2, 5\), expected \('T', 3, 5\).*'state'\) is missing"):
        check_dataset(data, spec)


def test_reward_per_agent(data):
    data["next", "reward"] = torch.zeros(8, 2, 1)
    with pytest.raises(DataError, match="one reward of the team is expected, not one per agent"):
        check_dataset(data)


def test_episode_without_an_end(data):
    data["next", "done"][2] = data["next", "truncated"][2] = False
    with pytest.raises(DataError, match="stops without done in 1 rows, first in row 2"):
        check_dataset(data)


def test_end_within_an_episode(data):
    data["next", "done"][5] = data["next", "terminated"][5] = True
    with pytest.raises(DataError, match="true before the end of its episode in 1 rows, first in row 5"):
        check_dataset(data)


def test_done_that_is_neither(data):
    data["next", "done"][0] = True
    with pytest.raises(DataError, match="not terminated or truncated in 1 rows, first in row 0"):
        check_dataset(data)


def test_all_findings_in_one_error(data):
    data["agents", "observation"][0] = float("nan")
    data["agents", "action"][1] = 7
    data["next", "done"][-1] = False
    with pytest.raises(DataError) as error:
        check_dataset(data)
    for part in ("NaN", "outside", "without done"):
        assert part in str(error.value)


def test_bundled_dataset_fits_its_task():
    dataset = OfflineDataset("vmas/navigation/mixed")
    check_dataset(dataset)
    check_dataset_fits(dataset, make_env(dataset.card.task, **dataset.card.task_kwargs))


def test_another_task_or_team_does_not_fit():
    dataset = OfflineDataset("vmas/navigation/mixed")
    with pytest.raises(
        DataError, match=r"recorded on 'vmas/navigation' and the .* 'vmas/balance'; obs.*18 in"
    ):
        check_dataset_fits(dataset, make_env("vmas/balance"))
    with pytest.raises(
        DataError, match="n_agents is 3 in the data and 4 in the environment; state_size is 54"
    ):
        check_dataset_fits(dataset, make_env("vmas/navigation", n_agents=4))
