"""Options of reading: their choices, groups and bounds, and the text that names the folder of the cache."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.options import READ_OPTIONS, ReadOptions

UNSET = ("actions", "timeout_is_terminal", "max_steps", "team_reward")
PLAIN = f"ReadOptions({''.join(f'{name}=None, ' for name in UNSET)}incomplete='error')"


def test_the_defaults_and_their_text():
    options = ReadOptions()
    assert repr(options) == PLAIN and options.agent_rewards is False
    assert READ_OPTIONS == (
        "actions", "timeout_is_terminal", "max_steps", "team_reward", "incomplete", "agent_rewards", "groups",
        "action_low", "action_high", "delimiter_rows",
    )  # fmt: skip
    others = set(READ_OPTIONS) - {"incomplete", "agent_rewards"}
    assert all(getattr(options, name) is None for name in others)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"agent_rewards": True}, "agent_rewards=True"),
        ({"groups": "all"}, "groups='all'"),
        ({"action_low": -2, "action_high": 2}, "action_low=-2.0, action_high=2.0"),
        ({"delimiter_rows": False}, "delimiter_rows=False"),
    ],
)
def test_later_options_are_named_only_where_they_are_used(given, text):
    assert repr(ReadOptions(**given)) == f"{PLAIN[:-1]}, {text})"


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("actions", ("raw", "clip", "scale", None)),
        ("team_reward", ("mean", "sum", "first", None)),
        ("incomplete", ("error", "truncated")),
        ("groups", ("all", "unpadded", None)),
    ],
)
def test_choices(name, choices):
    for value in choices:
        assert getattr(ReadOptions(**{name: value}), name) == value
    for value in ("else", 0, None):
        if value not in choices:
            with pytest.raises(ValueError, match=f"ReadOptions: {name} must be one of .*, got {value!r}"):
                ReadOptions(**{name: value})


def test_a_time_limit_is_a_number_from_one_on():
    assert ReadOptions(max_steps=1).max_steps == 1
    for wrong in (0, -3, 2.0, "5"):
        with pytest.raises(ValueError, match=f"max_steps must be an integer >= 1, got {wrong!r}"):
            ReadOptions(max_steps=wrong)


def test_bounds_come_together_and_as_plain_numbers():
    options = ReadOptions(action_low={"a": np.array([-1, 0])}, action_high=[[1, 2], [3, 4]])
    assert options.action_low == {"a": (-1.0, 0.0)} and options.action_high == ((1.0, 2.0), (3.0, 4.0))
    for given in ({"action_low": -1}, {"action_high": 0}):
        with pytest.raises(ValueError, match="action_low and action_high must be given together"):
            ReadOptions(**given)
    with pytest.raises(ValueError, match="action_high must be a number"):
        ReadOptions(action_low=0, action_high="one")


def test_groups_by_the_numbers_of_their_agents():
    options = ReadOptions(groups={"b": [2, 0], "a": range(3, 5)})
    assert options.groups == {"b": (2, 0), "a": (3, 4)} and list(options.groups) == ["b", "a"]
    assert "groups={'b': (2, 0), 'a': (3, 4)}" in repr(options)


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({}, "groups must have at least one group"),
        ({"a": [0], "b": []}, "group 'b' must have agents, got none"),
        ({"a": [0, -1]}, "agents of group 'a' must be numbers from 0 on, got -1"),
        ({"a": [0], "b": [1.0]}, "agents of group 'b' must be numbers from 0 on, got 1.0"),
        ({"a": "01"}, "agents of group 'a' must be numbers from 0 on, got '0'"),
        ({"a": [0, 1], "b": [2, 1]}, "agent 1 must be in one group, got 'a' and 'b'"),
        ({"a": [3, 3]}, "agent 3 must be in one group, got 'a' and 'a'"),
    ],
)
def test_groups_that_cannot_be(groups, problem):
    with pytest.raises(ValueError, match=f"ReadOptions: {problem}"):
        ReadOptions(groups=groups)
