"""Padded features: found, said, and given back by one option."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import (
    LAYOUTS,
    Episodes,
    OfflineDataset,
    ReadOptions,
    check_dataset,
    dataset_statistics,
)
from omiga_torchrl.data.padding import AgentPadding, PaddingScan
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal

from .conftest import make_card, make_episodes


def found(observation, **arrays):
    scan = PaddingScan()
    # whatever the blocks are
    for row in range(len(observation)):
        given = {name: values[row : row + 1] for name, values in arrays.items() if row < len(values)}
        scan.add(observation[row : row + 1], **given)
    return scan.found()


def test_padding_by_hand():
    observation = np.arange(24.0).reshape(4, 2, 3)
    assert found(observation) == ()
    observation[:, 1, 1:] = 0
    action = np.arange(12.0).reshape(3, 2, 2)
    action[:, 0, 1] = -1
    assert found(observation, action=action) == (
        AgentPadding(0, action=(1,)),
        AgentPadding(1, observation=(1, 2)),
    )


def test_what_changes_for_nobody_is_no_padding():
    observation = np.arange(40.0).reshape(4, 2, 5)
    observation[:, :, 3:] = np.eye(2)  # a number of the agent
    assert found(observation) == ()
    observation[:, 0, 2] = 0  # padding before that number
    assert found(observation) == (AgentPadding(0, observation=(2,)),)


def test_features_in_the_middle_and_of_several_values_are_no_padding():
    observation = np.arange(24.0).reshape(4, 2, 3)
    observation[:, 0, 1] = 0
    assert found(observation) == ()
    observation[:, 0, 2] = 5
    assert found(observation) == (AgentPadding(0, observation=(2,)),)


def test_rows_of_absent_agents_are_not_looked_at():
    observation = np.arange(16.0).reshape(4, 2, 2)
    observation[1:, 0, 1] = 0
    present = np.ones((4, 2), bool)
    assert found(observation, present=present) == ()
    present[0, 0] = False
    assert found(observation, present=present) == (AgentPadding(0, observation=(1,)),)


def test_last_actions_that_are_never_legal():
    mask = np.ones((3, 2, 4), bool)
    mask[:, 1, 2:] = False
    mask[:, 0, 1] = False  # in the middle: its number is taken
    assert found(np.arange(6.0).reshape(3, 2, 1), action_mask=mask) == (AgentPadding(1, illegal=(2, 3)),)


def padded_team(lengths=(300, 300), *, masked=False):
    """Agent 1 has 3 of 5 features and 1 of 2 actions; agents 0 and 2 have all."""
    team = make_episodes(lengths, n_agents=3, masked=masked)
    team.observation[:, 1, 3:] = 0
    if masked:
        team.action_mask[:, 1, 2] = False
        team.action[team.action == 2] = 0
    else:
        team.action[:, 1, 1] = 0
    return team


def test_the_check_says_which_agent_and_features(write):
    told = (
        r"toy/one: features never change .*: agent 1 \(observation features 3, 4, action feature 1\)\. If .* "
        "groups='unpadded'"
    )
    with pytest.warns(UserWarning, match=told):
        check_dataset(write(padded_team()))
    # in few steps of actions only, which are random
    with pytest.warns(UserWarning, match="agent 1"):
        check_dataset(write(padded_team((3, 4)), folder="short"))
    team = padded_team((3, 4))
    team.action[:, 1, 1] = np.linspace(-1, 1, team.steps)
    check_dataset(write(team, folder="shorter"))


def test_statistics_say_it_too(write):
    statistics = dataset_statistics(write(padded_team()))
    assert statistics.groups["agents"].padding == (AgentPadding(1, (3, 4), (1,)),)


@pytest.mark.parametrize("stored_state", [False, True])
def test_unpadded_agents_are_groups(write, stored_state):
    team = padded_team((3, 4))
    if stored_state:
        team.state = np.ones((9, 7), np.float32)
    spec = dict(make_card(team).sizes, action_low=[-2.0, -1.0], action_high=1.0, state_size=7)
    dataset = write(team, card=make_card(team, sizes=spec), groups="unpadded", reward_scale=None)
    assert list(dataset.spec.groups) == ["group_0", "group_1"]
    both, one = dataset.spec.groups.values()
    assert (both.n_agents, both.observation_size, both.action_size) == (2, 5, 2)
    assert (one.n_agents, one.observation_size, one.action_size) == (1, 3, 1)
    assert (both.action_low, one.action_low) == ((-2.0, -1.0), -2.0)
    assert dataset.spec.agent_names == ("agent_0", "agent_2", "agent_1")
    assert dataset.spec.state_size == (7 if stored_state else 13)
    episodes = Episodes.concatenate(list(dataset.blocks()))
    np.testing.assert_array_equal(episodes.groups["group_0"].observation, team.observation[:, [0, 2]])
    np.testing.assert_array_equal(episodes.groups["group_1"].observation, team.observation[:, [1], :3])
    np.testing.assert_array_equal(episodes.groups["group_1"].action, team.action[:, [1], :1])
    check_dataset(dataset)


def test_unpadded_discrete_agents(write):
    team = padded_team((3, 4), masked=True)
    dataset = write(team, groups="unpadded")
    both, one = dataset.spec.groups.values()
    assert (both.action_size, one.action_size) == (3, 2) and one.masked
    assert dataset.data["group_1", "action_mask"].shape == (7, 1, 2)
    check_dataset(dataset)


def test_groups_by_name(write, tmp_path):
    team = make_episodes((3, 4), n_agents=3)
    dataset = write(team, groups={"pair": [2, 0], "one": [1]})
    assert {name: group.n_agents for name, group in dataset.spec.groups.items()} == {"pair": 2, "one": 1}
    np.testing.assert_array_equal(dataset.data["pair", "action"], team.action[:, [2, 0]])
    # the padded and the plain ones have caches of their own
    assert OfflineDataset(tmp_path / "data").spec.n_agents == 3
    assert_equal(Episodes.concatenate(list(OfflineDataset(tmp_path / "data").blocks())), team)
    with pytest.raises(DataError, match=r"names the agents \[3\], the data have 3"):
        write(team, groups={"pair": [2, 3]})


def test_nothing_padded_is_said(write):
    with pytest.raises(DataError, match="groups='unpadded' found no padded feature"):
        write(make_episodes((3, 4)), groups="unpadded")


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ("padded", r"groups must be one of \('all', 'unpadded', None\)"),
        ({}, "at least one group"),
        ({"a": []}, "group 'a' must have agents"),
        ({"a": [0], "b": [1, 0]}, "agent 0 must be in one group, got 'a' and 'b'"),
        ({"a": [-1]}, "numbers from 0 on, got -1"),
        ({"a": ["wolf"]}, "numbers from 0 on, got 'wolf'"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, match):
    with pytest.raises(ValueError, match=match):
        ReadOptions(groups=groups)


def test_options_that_are_not_used_leave_the_cache_where_it_was():
    assert repr(ReadOptions()) == (
        "ReadOptions(actions=None, timeout_is_terminal=None, max_steps=None, team_reward=None, "
        "incomplete='error')"
    )
    assert repr(ReadOptions(groups={"a": [0]})).endswith("incomplete='error', groups={'a': (0,)})")


def written(folder, layout, team):
    """The team in a layout that has no groups, and how it is read."""
    path = folder / ("toy.vlt" if layout == "vault" else "toy")
    LAYOUTS[layout].write(path, [team], n_actions=3)
    return path


@pytest.mark.parametrize("layout", ["vault", "pymarl-npy"])
def test_padded_layouts_are_unpadded(tmp_path, layout):
    if layout == "vault":
        pytest.importorskip("tensorstore")
    team = padded_team(masked=True)
    path = written(tmp_path, layout, team)
    padded = OfflineDataset(path, root=tmp_path)
    with pytest.warns(UserWarning, match=r"agent 1 \(observation features 3, 4\)"):
        check_dataset(padded)
    dataset = OfflineDataset(path, root=tmp_path, groups="unpadded")
    sizes = [(one.n_agents, one.observation_size, one.action_size) for one in dataset.spec.groups.values()]
    assert sizes == [(2, 5, 3), (1, 3, 2)]
    assert dataset.data_path != padded.data_path
    check_dataset(dataset)
    # every row of the padded team, without its padding
    seen = padded.data["agents", "observation"]
    np.testing.assert_array_equal(dataset.data["group_0", "observation"], seen[:, [0, 2]])
    np.testing.assert_array_equal(dataset.data["group_1", "observation"], seen[:, 1:2, :3])
    batch = dataset.spec.gather(dataset.sample(8))
    assert batch["agents", "action_mask"].shape == (8, 3, 3)
    assert not batch["agents", "action_mask"][:, 2, 2].any()
