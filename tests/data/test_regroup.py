"""`regroup`: which agents, features, bounds and names the groups of a plain team get."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, ReadOptions
from omiga_torchrl.data.layouts import Reading
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.regroup import regroup
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import make_episodes, make_hunt


def opened(*blocks, **facts):
    return lambda: Reading(iter(blocks), **facts)


def regrouped(groups, *blocks, known=None, **facts):
    reading, known = regroup(opened(*blocks, **facts), ReadOptions(groups=groups), known or {})
    return Episodes.concatenate(list(reading.blocks)), reading, known


def padded(lengths=(3, 4), *, masked=False):
    """Three agents: the middle one has 3 of 5 features and 1 of 2 actions, or 2 of 3 discrete ones."""
    team = make_episodes(lengths, n_agents=3, masked=masked)
    team.observation[:, 1, 3:] = 0
    if masked:
        team.action_mask[:, 1, 2] = False
        team.action[:, 1] = 0
    else:
        team.action[:, 1, 1] = 0
    return team


@pytest.mark.parametrize("groups", [None, "all"])
def test_without_a_choice_nothing_changes(groups):
    team, known = make_episodes(), {"name": "x"}
    reading = Reading([team])
    same, facts = regroup(lambda: reading, ReadOptions(groups=groups), known)
    assert same is reading and facts == known and facts is not known


def test_readers_that_group_by_themselves_are_left_alone():
    reading = Reading([make_hunt()], is_grouped=True)
    assert regroup(lambda: reading, ReadOptions(groups="unpadded"), {})[0] is reading


def test_no_data_are_no_groups():
    reading = Reading([])
    assert regroup(lambda: reading, ReadOptions(groups={"a": [0]}), {})[0] is reading


def test_teams_of_groups_are_refused():
    with pytest.raises(DataError, match=r"needs a team of one group.*predators, prey"):
        regrouped("unpadded", make_hunt())


def test_every_array_of_an_agent_goes_with_it():
    first, second = make_episodes(n_agents=3, masked=True), make_episodes(n_agents=3, masked=True, seed=1)
    for team in (first, second):
        rows, steps = team.steps + len(team), team.steps
        team.agent_mask = np.arange(rows * 3).reshape(rows, 3) % 4 > 0
        team.groups["agents"].reward = np.arange(steps * 3.0).reshape(steps, 3)
    found, reading, _ = regrouped({"pair": [2, 0], "one": [1]}, first, second, n_actions=3)
    whole = Episodes.concatenate([first, second]).groups["agents"]
    assert list(found.groups) == ["pair", "one"]
    for name, agents in (("pair", [2, 0]), ("one", [1])):
        for entry, values in whole.arrays().items():
            np.testing.assert_array_equal(getattr(found.groups[name], entry), values[:, agents])
    assert reading.agents == {"pair": ["agent_2", "agent_0"], "one": ["agent_1"]}
    assert reading.n_actions == {"pair": 3, "one": 3}
    assert found.length.tolist() == [3, 1, 4] * 2


def test_agents_beyond_the_team_are_named():
    team = make_episodes(n_agents=3)
    regrouped({"a": [2]}, team)
    with pytest.raises(DataError, match=r"names the agents \[3, 7\], the data have 3"):
        regrouped({"a": [0, 3], "b": [7, 2]}, team)


def test_unpadded_agents_keep_their_own_features():
    team = padded()
    found, reading, _ = regrouped("unpadded", team)
    both, one = found.groups["group_0"], found.groups["group_1"]
    np.testing.assert_array_equal(both.observation, team.observation[:, [0, 2]])
    np.testing.assert_array_equal(both.action, team.action[:, [0, 2]])
    np.testing.assert_array_equal(one.observation, team.observation[:, [1], :3])
    np.testing.assert_array_equal(one.action, team.action[:, [1], :1])
    assert reading.n_actions is None


def test_unpadded_agents_keep_their_own_discrete_actions():
    team = make_episodes((3, 4), n_agents=4, masked=True)
    team.observation[:, 1, 3:] = 0
    team.action_mask[:, 1, 2] = False
    team.action[:, 1] = 0
    found, reading, _ = regrouped("unpadded", team, n_actions=9)
    both, one = found.groups["group_0"], found.groups["group_1"]
    assert both.action_mask.shape[-1] == 3 and one.action_mask.shape[-1] == 2
    assert one.action.shape == (7, 1)
    assert reading.n_actions == {"group_0": 3, "group_1": 2}


def test_discrete_agents_without_masks_keep_the_number_of_actions():
    team = padded(masked=True)
    team.action_mask = None
    found, reading, _ = regrouped("unpadded", team, n_actions=3)
    assert reading.n_actions == {"group_0": 3, "group_1": 3}
    assert found.groups["group_1"].observation.shape[-1] == 3


def test_padding_is_looked_for_in_all_blocks():
    team = padded((3, 4))
    other = make_episodes((2,), n_agents=3, seed=1)
    reading, _ = regroup(opened(other, team), ReadOptions(groups={"a": [0]}), {})
    assert len(list(reading.blocks)) == 2
    with pytest.raises(DataError, match="found no padded feature"):
        regrouped("unpadded", other, team)


def test_what_absent_agents_show_is_no_change():
    team = padded()
    team.observation[2, 1, 3:] = 1
    team.agent_mask = np.ones((9, 3), bool)
    team.agent_mask[2, 1] = False
    found, _, _ = regrouped("unpadded", team)
    assert found.groups["group_1"].observation.shape == (9, 1, 3)


def test_what_a_reader_knows_goes_on():
    left_out, ends = LeftOut(), EndNotes()
    _, reading, _ = regrouped(
        {"a": [0]}, make_episodes(), steps=8, actions="clip", left_out=left_out, ends=ends
    )
    assert (reading.steps, reading.actions) == (8, "clip")
    assert reading.left_out is left_out and reading.ends is ends


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        (-2.0, {"pair": -2.0, "one": -2.0}),
        ((-2.0, -3.0), {"pair": (-2.0, -3.0), "one": (-2.0, -3.0)}),
        (
            ((-1.0, -2.0), (-3.0, -4.0), (-5.0, -6.0)),
            {"pair": ((-5.0, -6.0), (-1.0, -2.0)), "one": (-3.0, -4.0)},
        ),
    ],
    ids=["number", "features", "agents"],
)
def test_sizes_on_a_card_become_those_of_the_groups(low, expected):
    team = make_episodes(n_agents=3)
    spec = TeamSpec(3, 5, 2, 15, action_low=low, action_high=9.0, agents=("x", "y", "z"))
    _, _, known = regrouped({"pair": [2, 0], "one": [1]}, team, known={"sizes": spec.to_dict(), "task": "t"})
    found = TeamSpec.from_dict(known["sizes"])
    assert {name: group.action_low for name, group in found.groups.items()} == expected
    assert {group.action_high for group in found.groups.values()} == {9.0}
    assert found.agent_names == ("z", "x", "y") and found.state_size == 15 and known["task"] == "t"
    assert [group.n_agents for group in found.groups.values()] == [2, 1]


def test_sizes_on_a_card_lose_the_padding():
    spec = TeamSpec(3, 5, 2, 15, action_high=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))
    _, _, known = regrouped("unpadded", padded(), known={"sizes": spec.to_dict()})
    both, one = TeamSpec.from_dict(known["sizes"]).groups.values()
    assert (both.observation_size, both.action_size, both.action_high) == (5, 2, ((1.0, 2.0), (5.0, 6.0)))
    assert (one.observation_size, one.action_size, one.action_high) == (3, 1, 3.0)
    assert both.state_size == one.state_size == 2 * 5 + 3
    masked = TeamSpec(3, 5, 3, 4, discrete=True, masked=True)
    _, _, known = regrouped("unpadded", padded(masked=True), known={"sizes": masked.to_dict()})
    both, one = TeamSpec.from_dict(known["sizes"]).groups.values()
    assert (both.action_size, one.action_size) == (3, 2) and one.discrete and one.masked
