"""Recording teams of groups: every group's entries, rewards and absences, as the environment gives them."""

from __future__ import annotations

import numpy as np
import torch

from omiga_torchrl.data import Episodes, OfflineDataset, check_dataset, record_dataset, record_episodes
from omiga_torchrl.testing.layout_contract import assert_equal

from .hunt_env import HuntEnv


def test_episodes_of_groups():
    torch.manual_seed(0)
    played = record_episodes(None, HuntEnv(), episodes=4)
    # in the order of the environment's group_map, not of its entries
    assert list(played.groups) == ["wolves", "hares"]
    wolves, hares = played.groups.values()
    assert played.length.tolist() == [5] * 4
    np.testing.assert_array_equal(wolves.observation[:6, 1], [[t, 1] for t in range(6)])
    np.testing.assert_array_equal(wolves.agent_mask[:6, 1], [False, True] * 3)
    assert wolves.agent_mask[:, 0].all() and hares.agent_mask is None
    # random actions are legal, and in bounds
    assert set(hares.action.ravel().tolist()) == {0, 1} and np.abs(wolves.action).max() <= 1
    assert len(np.unique(wolves.action)) == wolves.action.size
    np.testing.assert_array_equal(wolves.reward, np.tile([0, 1], (20, 1)))
    np.testing.assert_array_equal(played.reward, np.full(20, 3.0))
    # the state only repeats the observations of all agents in a row
    assert played.state is None and played.joint_state()[1].tolist() == [1, 0, 1, 1, 1]


def test_a_dataset_of_groups_is_recorded_opened_and_checked(tmp_path):
    card = record_dataset(None, HuntEnv, folder=tmp_path / "hunt", transitions=40, name="hunt")
    assert card.spec.group_map == {"wolves": ["wolf_0", "wolf_1"], "hares": ["hare_0"]}
    assert card.spec.groups["hares"].masked and card.spec.groups["hares"].action_size == 3
    dataset = OfflineDataset(tmp_path / "hunt", root=tmp_path, reward_scale=None)
    assert dataset.spec == card.spec
    check_dataset(dataset)
    assert dataset.data["wolves", "agent_mask"].shape == (len(dataset), 2)
    whole = Episodes.concatenate(list(dataset.blocks()))
    assert_equal(whole, Episodes.load(tmp_path / "hunt" / "data.npz"))
    team = dataset.spec.of_kind("discrete").gather(dataset.sample(6))
    assert team["agents", "action"].shape == (6, 1)
