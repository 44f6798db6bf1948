"""OMAR's folders of predators and prey: who is read, and as which group."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, OfflineDataset, ReadOptions
from omiga_torchrl.data.layouts.omar import OmarLayout
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_files import make_omar, write_npys

LAYOUT = OmarLayout()


def tag(folder, *, order=(0, 1, 2), states=None):
    """Two predators with 3 + 2 features and a prey with 2 + 1, whose rewards are their negative sum."""
    arrays = make_omar([3, 1, 2], agents=3, done=(1,), states=states)
    for name in ("obs_2", "next_obs_2"):
        arrays[name] = arrays[name][:, :2]
    arrays["acs_2"] = arrays["acs_2"][:, :1]
    arrays["rews_1"] = 2 * arrays["rews_0"]
    arrays["rews_2"] = -3 * arrays["rews_0"]
    renamed = {f"{name[:-2]}_{order.index(int(name[-1]))}": values for name, values in arrays.items()}
    return write_npys(folder, renamed), arrays


def read(path, **options):
    return Episodes.concatenate(list(LAYOUT.read(path, ReadOptions(**options)).blocks))


def test_the_prey_is_part_of_the_environment_unless_it_is_asked_for(tmp_path):
    path, arrays = tag(tmp_path)
    with pytest.warns(UserWarning, match="2 of 3 agents are the team"):
        team = read(path, team_reward="first")
    assert list(team.groups) == ["agents"] and team.observation.shape == (9, 2, 3)
    np.testing.assert_array_equal(team.reward, np.float32(arrays["rews_0"]))


@pytest.mark.parametrize("groups", ["all", {"predators": [0, 1], "prey": [2]}])
def test_all_agents(tmp_path, groups):
    path, arrays = tag(tmp_path)
    found = read(path, team_reward="sum", groups=groups, agent_rewards=True)
    names = ["group_0", "group_1"] if groups == "all" else ["predators", "prey"]
    assert list(found.groups) == names and found.state is None
    predators, prey = found.groups.values()
    assert (predators.observation.shape, prey.observation.shape) == ((9, 2, 3), (9, 1, 2))
    steps = found.is_step()
    np.testing.assert_array_equal(prey.observation[steps][:, 0], np.float32(arrays["obs_2"]))
    np.testing.assert_array_equal(predators.action[:, 1], np.float32(arrays["acs_1"]))
    # what was seen last is the last next observation
    np.testing.assert_array_equal(prey.observation[-1, 0], np.float32(arrays["next_obs_2"][-1]))
    np.testing.assert_allclose(found.reward, 0, atol=1e-6)
    np.testing.assert_array_equal(predators.reward[:, 1], np.float32(arrays["rews_1"]))
    np.testing.assert_array_equal(prey.reward[:, 0], np.float32(arrays["rews_2"]))


def test_agents_of_one_size_need_not_be_together(tmp_path):
    path, arrays = tag(tmp_path, order=(0, 2, 1))
    with pytest.raises(DataError, match="groups='all'"):
        read(path, team_reward="sum")
    found = read(path, team_reward="sum", groups="all")
    assert {name: group.n_agents for name, group in found.groups.items()} == {"group_0": 2, "group_1": 1}
    seen = found.groups["group_0"].observation[found.is_step()][:, 1]
    np.testing.assert_array_equal(seen, np.float32(arrays["obs_1"]))


def test_agents_in_no_group_are_left_out(tmp_path):
    path, arrays = tag(tmp_path)
    found = read(path, groups={"prey": [2]})
    assert list(found.groups) == ["prey"]
    np.testing.assert_array_equal(found.reward, np.float32(arrays["rews_2"]))


def test_states_of_unequal_agents_are_joined(tmp_path):
    path, arrays = tag(tmp_path, states="own")
    found = read(path, team_reward="sum", groups="all")
    expected = np.concatenate([arrays[f"states_{i}"] for i in range(3)], 1)
    np.testing.assert_array_equal(found.state[found.is_step()], np.float32(expected))
    path, _ = tag(tmp_path / "same", states="same")
    assert read(path, team_reward="sum", groups="all").state.shape == (9, 4)


def test_agents_that_are_not_there(tmp_path):
    path, _ = tag(tmp_path)
    with pytest.raises(DataError, match=r"groups names the agents \[3\], there are 3"):
        read(path, groups={"prey": [3]})
    with pytest.raises(DataError, match=r"the agents \[1, 2\] of group 'mixed' have the sizes"):
        read(path, groups={"mixed": [1, 2]})


def test_a_dataset_of_all_agents(tmp_path):
    path, _ = tag(tmp_path / "files")
    options = {"groups": {"predators": [0, 1], "prey": [2]}, "team_reward": "first", "agent_rewards": True}
    dataset = OfflineDataset(path, root=tmp_path, reward_scale=None, **options)
    assert {name: g.observation_size for name, g in dataset.spec.groups.items()} == {
        "predators": 3,
        "prey": 2,
    }
    assert dataset.card.team_reward == "first"
    batch = dataset.sample(5)
    assert dataset.spec.gather(batch)["agents", "observation"].shape == (5, 3, 3)
    assert batch["next", "prey", "reward"].shape == (5, 1, 1)
    # the team alone is another dataset
    with pytest.warns(UserWarning, match="2 of 3 agents are the team"):
        team = OfflineDataset(path, root=tmp_path, team_reward="mean")
    assert team.spec.n_agents == 2 and team.card.team_reward == "mean"
