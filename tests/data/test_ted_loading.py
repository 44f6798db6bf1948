"""`load_ted`: what has no file of its own is put together where it is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data.following import FollowingRows
from omiga_torchrl.data.ted import TedWriter
from omiga_torchrl.data.ted_loading import load_ted, row_tensors

from .conftest import make_episodes, make_hunt


def loaded(folder, block):
    writer = TedWriter(folder)
    writer.append(block)
    writer.close()
    return load_ted(folder)


def test_what_follows_is_gathered_and_its_numbers_are_no_entry(tmp_path):
    data = loaded(tmp_path, make_episodes(masked=True, stored_state=True))
    assert "following" not in data.keys()  # noqa: SIM118
    for key in (("agents", "observation"), ("agents", "action_mask"), ("state",)):
        assert isinstance(data[("next", *key)], FollowingRows)
        assert not isinstance(data[key], FollowingRows)
    assert not data.is_locked and data["next", "agents"].batch_size == (8, 2)


def test_states_that_are_not_stored_are_the_observations_in_a_row(tmp_path):
    episodes = make_episodes((2, 3))
    data = loaded(tmp_path, episodes)
    assert data["state"].shape == (5, 10)
    assert (data["state"] == data["agents", "observation"].reshape(5, 10)).all()
    after = episodes.observation[[1, 2, 4, 5, 6]].reshape(5, 10)
    np.testing.assert_array_equal(data["next", "state"][torch.arange(5)], after)


@pytest.mark.parametrize("own_reward", [False, True])
def test_groups_are_under_next_with_and_without_own_rewards(tmp_path, own_reward):
    hunt = make_hunt(own_reward=own_reward, stored_state=True)
    data = loaded(tmp_path, hunt)
    for name, group in hunt.groups.items():
        assert data["next", name].batch_size == (8, group.n_agents)
        assert (("reward" in data["next", name].keys()) is own_reward) and data["state"].shape == (8, 6)  # noqa: SIM118
        if own_reward:
            np.testing.assert_array_equal(data["next", name, "reward"][..., 0], group.reward)


def test_rows_are_those_of_all_steps_and_then_the_last_of_every_episode(tmp_path):
    episodes = make_episodes((2, 3, 1))
    data = loaded(tmp_path, episodes)
    [(key, rows)] = row_tensors(tmp_path, data)
    assert key == ("agents", "observation")
    order = [0, 1, 3, 4, 5, 7, 2, 6, 8]
    np.testing.assert_array_equal(rows, episodes.observation[order])


def test_entries_that_the_data_no_longer_have_are_left_out(tmp_path):
    data = loaded(tmp_path, make_episodes(masked=True))
    assert [key for key, _ in row_tensors(tmp_path, data)] == [
        ("agents", "observation"), ("agents", "action_mask"),
    ]  # fmt: skip
    del data["agents", "action_mask"]
    assert [key for key, _ in row_tensors(tmp_path, data)] == [("agents", "observation")]
