"""Episodes as transitions, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.data import Episodes, episodes_to_tensordict
from omiga_torchrl.data.blocks import episode_blocks, first_steps, group_names
from omiga_torchrl.testing.layout_contract import assert_equal

from .conftest import make_episodes, make_hunt


def counted():
    """Two episodes of two steps and one; observation rows are 0, 1, 2 and 3, 4."""
    return Episodes(
        observation=np.arange(5.0).reshape(5, 1, 1),
        action=np.array([[[0.1]], [[0.2]], [[0.3]]]),
        reward=np.array([1, 2, 3]),
        terminated=np.array([False, True, False]),
        truncated=np.array([False, False, True]),
        length=np.array([2, 1]),
        action_mask=None,
        state=-np.arange(5.0).reshape(5, 1),
        agent_mask=np.array([[True], [False], [False], [True], [False]]),
    )


def test_transitions_by_hand():
    data = episodes_to_tensordict(counted())
    assert data.batch_size == (3,) and data["agents"].batch_size == (3, 1)
    assert data["agents", "observation"].flatten().tolist() == [0, 1, 3]
    assert data["next", "agents", "observation"].flatten().tolist() == [1, 2, 4]
    assert data["state"].tolist() == [[0], [-1], [-3]]
    assert data["next", "state"].tolist() == [[-1], [-2], [-4]]
    assert data["agents", "agent_mask"].flatten().tolist() == [True, False, True]
    assert data["next", "agents", "agent_mask"].flatten().tolist() == [False, False, False]
    assert data["episode"].tolist() == [0, 0, 1]
    assert data["next", "reward"].tolist() == [[1], [2], [3]]
    assert data["next", "done"].tolist() == [[False], [True], [True]]
    assert data["next", "terminated"].tolist() == [[False], [True], [False]]
    assert data["next", "truncated"].tolist() == [[False], [False], [True]]
    assert data["agents", "observation"].dtype == torch.float32
    assert data["next", "reward"].dtype == torch.int64  # as it was given


def test_agents_own_rewards_are_of_their_group():
    hunt = make_hunt(own_reward=True)
    data = episodes_to_tensordict(hunt)
    for name, group in hunt.groups.items():
        np.testing.assert_array_equal(data["next", name, "reward"][..., 0], group.reward)
        assert data["next", name].batch_size == (8, group.n_agents)
    assert "reward" not in episodes_to_tensordict(make_hunt())["next", "prey"]


def test_groups_are_what_holds_observations():
    data = episodes_to_tensordict(make_hunt())
    assert group_names(data) == ["predators", "prey"]
    data["other"] = TensorDict({"action": torch.zeros(8)}, [8])
    data["next", "observation"] = torch.zeros(8)
    assert group_names(data) == ["predators", "prey"]


@pytest.mark.parametrize(
    "episodes",
    [
        make_episodes(),
        make_episodes((1,)),
        make_episodes((1, 1, 5), masked=True),
        make_episodes(stored_state=True),
        make_hunt(absent=True, own_reward=True),
        make_hunt(stored_state=True),
    ],
    ids=["plain", "one step", "masked", "state", "groups", "groups with a state"],
)
def test_the_way_back_gives_the_same(episodes):
    data = episodes_to_tensordict(episodes)
    [whole] = episode_blocks(data)
    assert_equal(whole, episodes)
    parts = list(episode_blocks(data, block_bytes=1))
    assert [part.steps for part in parts] == episodes.length.tolist()
    assert_equal(Episodes.concatenate(parts), episodes)


def test_the_names_of_groups_can_be_given():
    hunt = make_hunt()
    [block] = episode_blocks(episodes_to_tensordict(hunt), groups=["prey", "predators"])
    assert list(block.groups) == ["prey", "predators"]
    [block] = episode_blocks(episodes_to_tensordict(hunt), groups=["prey"])
    assert list(block.groups) == ["prey"]


def test_a_block_has_about_the_bytes_that_are_asked_for():
    data = episodes_to_tensordict(make_episodes((2, 2, 2, 2, 2)))
    size = sum(one.numel() * one.element_size() for one in data[:1].values(True, True))
    assert [len(block) for block in episode_blocks(data, block_bytes=4 * size)] == [2, 2, 1]
    assert [len(block) for block in episode_blocks(data, block_bytes=4 * size - 1)] == [1] * 5


def test_first_steps_are_where_the_number_changes():
    assert first_steps(torch.tensor([3])).tolist() == [True]
    assert first_steps(torch.tensor([1, 1, 0, 0, 1])).tolist() == [True, False, True, False, True]
