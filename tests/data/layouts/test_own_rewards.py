"""Every agent's own reward: kept on request, read and written where a layout has a place for it."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import LAYOUTS, Episodes, ReadOptions
from omiga_torchrl.data.layouts.padded import padded_to_episodes
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_files import make_padded


def with_rewards():
    """Each agent's own reward is twice that of the one before; the team's is their mean."""
    team = make_episodes((3, 1, 4))
    team.groups["agents"].reward = team.reward[:, None] * np.array([2, 4], np.float32) / 3
    return team.replaced(reward=team.groups["agents"].reward.mean(1))


def test_pymarls_rewards_of_agents():
    arrays = make_padded([2], [True])
    arrays["reward"] = np.array([[[1.0, 3.0], [2.0, 2.0], [9.0, 9.0]]])
    options = ReadOptions(team_reward="first", agent_rewards=True)
    found = padded_to_episodes(arrays, options=options)
    assert found.groups["agents"].reward.tolist() == [[1, 3], [2, 2]]
    assert found.reward.tolist() == [1, 2]
    assert padded_to_episodes(arrays, options=ReadOptions(team_reward="sum")).groups["agents"].reward is None


def test_a_reward_of_the_team_alone_is_refused():
    arrays = make_padded([2], [True])
    arrays["reward"] = np.ones((1, 3, 1))
    with pytest.raises(DataError, match="one reward of the team only"):
        padded_to_episodes(arrays, options=ReadOptions(agent_rewards=True))


def test_a_vault_keeps_them(tmp_path):
    pytest.importorskip("tensorstore")
    team, layout = with_rewards(), LAYOUTS["vault"]
    layout.write(tmp_path / "toy.vlt", [team])
    with pytest.raises(DataError, match="the agents' rewards differ"):
        list(layout.read(tmp_path / "toy.vlt", ReadOptions()).blocks)
    options = ReadOptions(team_reward="mean", agent_rewards=True)
    found = Episodes.concatenate(list(layout.read(tmp_path / "toy.vlt", options).blocks))
    np.testing.assert_array_equal(found.groups["agents"].reward, team.groups["agents"].reward)
    np.testing.assert_allclose(found.reward, team.reward, rtol=1e-6)


def test_a_recording_keeps_them(write):
    team = with_rewards()
    dataset = write(team, reward_scale=None)
    np.testing.assert_array_equal(
        dataset.data["next", "agents", "reward"][..., 0], team.groups["agents"].reward
    )
    assert_equal(Episodes.concatenate(list(dataset.blocks())), team)


def test_they_are_scaled_as_the_teams(write):
    team = with_rewards()
    raw = write(team, reward_scale=None).data
    scaled = write(team, reward_scale=2.0).data
    for key in (("next", "reward"), ("next", "agents", "reward")):
        np.testing.assert_allclose(scaled[key], raw[key] / 2)


@pytest.mark.parametrize("layout", ["pymarl-npy", "omiga-mujoco"])
def test_layouts_without_a_place_refuse_them(tmp_path, layout):
    with pytest.raises(DataError, match="no place for every agent's own reward"):
        LAYOUTS[layout].write(tmp_path / "a", [with_rewards()])


def test_other_layouts_say_when_they_have_none(write):
    with pytest.raises(DataError, match="there are no rewards of agents"):
        write(make_episodes(), agent_rewards=True)
