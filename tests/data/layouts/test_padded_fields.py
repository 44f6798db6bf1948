"""PyMARL's padded fields by hand: their sizes, which rows are filled, and where episodes end."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.padded_fields import (
    checked_fields,
    find_filled,
    find_lengths,
    lack_choice,
    observation_rows,
    read_flags,
    with_choice,
)
from omiga_torchrl.errors import DataError

# Two episodes of three rows, four agents, five features and six actions.
SHAPES = {
    "actions": (2, 3, 4, 1),
    "avail_actions": (2, 3, 4, 6),
    "filled": (2, 3, 1),
    "obs": (2, 3, 4, 5),
    "reward": (2, 3, 1),
    "state": (2, 3, 7),
    "terminated": (2, 3, 1),
}


def make(**shapes):
    return {name: np.ones(shape, np.float32) for name, shape in {**SHAPES, **shapes}.items()}


def flags(*rows):
    return np.array([[one == "1" for one in row] for row in rows])


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("actions", [(2, 3, 4), (2, 3, 4, 1), (2, 3, 4, 6)]),
        ("agent_mask", [(2, 3, 4), (2, 3, 4, 1)]),
        ("filled", [(2, 3), (2, 3, 1)]),
        ("reward", [(2, 3), (2, 3, 1), (2, 3, 4)]),
        ("terminated", [(2, 3), (2, 3, 1)]),
    ],
)
def test_fields_in_every_shape_that_they_may_have(name, shapes):
    for shape in shapes:
        arrays = make(**{name: shape}) | {"battles": np.zeros(1)}
        found = checked_fields(arrays, "here")
        assert set(found) == {*SHAPES, name} and found[name] is arrays[name]


@pytest.mark.parametrize(
    ("name", "shape", "problem"),
    [
        ("obs", (2, 3, 4), r"'obs' has shape \(2, 3, 4\), expected 4 dimensions"),
        ("avail_actions", (2, 3, 4), "'avail_actions' has shape .* expected 4 dimensions"),
        ("state", (2, 3), "'state' has shape .* expected 3 dimensions"),
        ("state", (2, 3, 4, 7), "'state' has shape .* expected 3 dimensions"),
        ("actions", (2, 3), "'actions' has shape .* expected 4 dimensions"),
        ("reward", (2,), "'reward' has shape .* expected 3 dimensions"),
        ("filled", (2, 3, 1, 1), "'filled' has shape .* expected 3 dimensions"),
        ("agent_mask", (2, 3), "'agent_mask' has shape .* expected 4 dimensions"),
        ("state", (2, 3, 0), "'state' has shape .* holds nothing"),
        ("state", (3, 3, 7), r"'state' has shape .* 'obs' has \(2, 3, 4, 5\)"),
        ("terminated", (2, 2, 1), "'terminated' has shape .* 'obs' has"),
        ("avail_actions", (2, 3, 5, 6), "'avail_actions' has shape .* 'obs' has"),
        ("actions", (2, 3, 5), r"'actions' has shape .* expected \(2, 3, 4, 1\)"),
        ("actions", (2, 3, 4, 2), r"'actions' has shape .* expected \(2, 3, 4, 1\)"),
        ("agent_mask", (2, 3, 1), r"'agent_mask' has shape .* expected \(2, 3, 4, 1\)"),
        ("reward", (2, 3, 3), r"'reward' has shape .* expected \(2, 3, 1\)"),
        ("filled", (2, 3, 4), r"'filled' has shape .* expected \(2, 3, 1\)"),
        ("terminated", (2, 3, 4), r"'terminated' has shape .* expected \(2, 3, 1\)"),
    ],
)
def test_other_shapes_are_refused(name, shape, problem):
    with pytest.raises(DataError, match=f"here: {problem}"):
        checked_fields(make(**{name: shape}), "here")


def test_types_and_missing_fields_are_told_together():
    arrays = make(state=(2, 4, 7))
    arrays["reward"] = np.full((2, 3, 1), "1")
    with pytest.raises(DataError, match="'reward' has type <U1, expected numbers; 'state' has shape"):
        checked_fields(arrays, "here")
    for dtype in (bool, np.int8, np.uint8, np.float16):
        arrays = make() | {"terminated": np.ones((2, 3), dtype)}
        assert checked_fields(arrays, "here")["terminated"].dtype == dtype
    del arrays["obs"], arrays["state"], arrays["filled"]
    with pytest.raises(DataError, match=r"here: \['obs', 'state'\] are missing, found \['actions'"):
        checked_fields(arrays, "here")


def test_rows_without_a_legal_action_are_padding():
    filled = flags("1110", "1100", "1111")
    ended = flags("0100", "1000", "0010")
    legal = np.zeros((3, 4, 2, 3), np.int32)
    legal[filled, 1, 2] = 1
    assert (find_filled({"avail_actions": legal}, ended, "here") == filled).all()
    # A row behind the last observation.
    for place in ((1, 2), (0, 3)):
        wrong = legal.copy()
        wrong[(*place, 0, 0)] = 1
        with pytest.raises(DataError, match=r"here: 'filled' is missing, .* behind the end of an episode"):
            find_filled({"avail_actions": wrong}, ended, "here")
    told = {"avail_actions": wrong, "filled": filled[..., None].astype(np.int64)}
    assert (find_filled(told, ended, "here") == filled).all()


def test_padding_and_choice_of_data_that_are_read_in_parts():
    legal = np.ones((3, 2, 2, 600_000), bool)  # two episodes are more than a block
    assert not lack_choice(legal)
    legal[2, 1] = False
    found = find_filled({"avail_actions": legal}, np.zeros((3, 2), bool), "here")
    assert found.tolist() == [[True, True], [True, True], [True, False]]
    assert not lack_choice(legal)
    legal[2, 0, 1] = False
    assert lack_choice(legal)


def test_agents_without_a_choice_while_others_have_one():
    legal = np.zeros((2, 2, 3, 4))
    legal[0, 0, 1, 3] = legal[1, 1, :, 0] = legal[1, 0, [0, 2], 2] = 1
    assert with_choice(legal).tolist() == [
        [[False, True, False], [True, True, True]],
        [[True, False, True], [True, True, True]],
    ]


def test_lengths():
    filled = flags("1111", "1111", "1110", "1100", "1000", "0000", "1100")
    ended = flags("0000", "0010", "0100", "0100", "0000", "0000", "0010")
    # The last one is flagged in padding only.
    assert find_lengths(filled, ended, "here").tolist() == [3, 3, 2, 2, 0, 0, 1]
    assert find_lengths(flags("1111"), flags("0101"), "here").tolist() == [2]
    assert find_lengths(flags("1111"), flags("0001"), "here").tolist() == [4]


def test_gaps_are_refused():
    filled = flags("1110", "1011", "0000", "0110")
    with pytest.raises(DataError, match="here: 'filled' has gaps in 2 episodes, first in episode 1"):
        find_lengths(filled, filled & False, "here")


def test_rows_of_observations_and_steps():
    filled = flags("1110", "0000", "1100", "1111", "1111")
    length = np.array([2, 0, 2, 4, 3])
    row, step = observation_rows(filled, length, np.flatnonzero(length))
    # The last observations of 2 and 3 were not kept: the one before stands for them.
    assert row.tolist() == [0, 1, 2, 8, 9, 9, 12, 13, 14, 15, 15, 16, 17, 18, 19]
    assert step.tolist() == [0, 1, 8, 9, 12, 13, 14, 15, 16, 17, 18]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_flags_of_any_type(dtype):
    values = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    for shape in ((2, 3), (2, 3, 1)):
        found = read_flags(values.reshape(shape), "filled", "here")
        assert found.dtype == bool and found.tolist() == values.astype(bool).tolist()


@pytest.mark.parametrize("bad", [2, -1])
def test_other_values_are_no_flags(bad):
    with pytest.raises(DataError, match=f"here: 'filled' holds {bad}; expected zeros and ones"):
        read_flags(np.array([[0, 1], [1, bad]]), "filled", "here")
