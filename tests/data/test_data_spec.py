"""`data_spec`: sizes of a card or of arrays, and bounds of the user's or of the data."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import ReadOptions
from omiga_torchrl.data.data_spec import data_spec
from omiga_torchrl.data.layouts import Reading
from omiga_torchrl.errors import DataError
from omiga_torchrl.specs import TeamSpec

from .conftest import HUNT, make_episodes, make_hunt


def spec_of(block, known=None, reading=None, **options):
    return data_spec(known or {}, block, reading or Reading([]), ReadOptions(**options), "here")


def test_sizes_are_those_of_the_arrays():
    assert spec_of(make_episodes(n_agents=3)) == TeamSpec(3, 5, 2, 15)
    assert spec_of(make_episodes(stored_state=True)) == TeamSpec(2, 5, 2, 4)
    masked = spec_of(make_episodes(masked=True), reading=Reading([], n_actions=9))
    assert masked == TeamSpec(2, 5, 3, 10, discrete=True, masked=True)  # the mask knows better
    assert spec_of(make_hunt()) == HUNT
    assert spec_of(make_hunt(stored_state=True)).state_size == 6


def test_numbers_of_actions_are_those_of_the_data_set_or_unknown():
    episodes = make_episodes(masked=True)
    episodes.action_mask = None
    found = spec_of(episodes, reading=Reading([], n_actions=7))
    assert found == TeamSpec(2, 5, 7, 10, discrete=True)
    assert spec_of(episodes, reading=Reading([], n_actions={"agents": 4, "prey": 5})).action_size == 4
    for unknown in (None, {"prey": 5}):
        with pytest.raises(DataError, match="here: the number of discrete actions is unknown"):
            spec_of(episodes, reading=Reading([], n_actions=unknown))


def test_agents_have_the_names_of_the_data_set():
    assert spec_of(make_episodes(), reading=Reading([], agents={"agents": ["a", "b"]})).agents == ("a", "b")
    assert spec_of(make_episodes(), reading=Reading([], agents={"prey": ["a"]})).agents == ()


def test_bounds_are_the_users_or_the_data_sets_or_one():
    said = Reading([], action_low=-3.0, action_high=(3.0, 4.0))
    plain = spec_of(make_episodes())
    assert (plain.action_low, plain.action_high) == (-1.0, 1.0)
    found = spec_of(make_episodes(), reading=said)
    assert (found.action_low, found.action_high) == (-3.0, (3.0, 4.0))
    found = spec_of(make_episodes(), reading=Reading([], action_high=2.0))
    assert (found.action_low, found.action_high) == (-1.0, 2.0)
    found = spec_of(make_episodes(), reading=said, action_low=-5, action_high=[5, 6])
    assert (found.action_low, found.action_high) == (-5.0, (5.0, 6.0))
    # those of a data set are of a plain team
    assert spec_of(make_hunt(), reading=said).groups["predators"].action_low == -1.0


def test_a_card_knows_the_sizes_and_the_user_the_bounds():
    card = {"sizes": TeamSpec(4, 3, 2, 1, action_low=-7.0).to_dict()}
    assert spec_of(make_episodes(), card, Reading([], action_low=-3.0)).action_low == -7.0
    found = spec_of(make_episodes(), card, action_low=-2, action_high=2)
    assert (found.n_agents, found.action_low, found.action_high, found.state_size) == (4, -2.0, 2.0, 1)


def test_bounds_of_groups_are_by_name_and_not_of_discrete_ones():
    low, high = {"predators": -2, "prey": -9}, {"predators": 3, "prey": 9}
    found = spec_of(make_hunt(), action_low=low, action_high=high)
    assert (found.groups["predators"].action_low, found.groups["predators"].action_high) == (-2.0, 3.0)
    assert found.groups["prey"] == HUNT.groups["prey"]
    assert spec_of(make_hunt(), action_low=-4, action_high=4).groups["predators"].action_high == 4.0
    with pytest.raises(DataError, match=r"no bound of the group 'prey', only of predators"):
        spec_of(make_hunt(), action_low={"predators": -2}, action_high=high)


@pytest.mark.parametrize(("low", "high"), [(1, -1), (np.zeros(3), 1), (-np.inf, 1)])
def test_bounds_that_do_not_fit_are_an_error(low, high):
    with pytest.raises(DataError, match=r"here: action_\w+ must be .*Pass action_low= and action_high="):
        spec_of(make_episodes(), action_low=low, action_high=high)
