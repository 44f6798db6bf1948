"""Steps of OMIGA's and MADT's StarCraft episodes as arrays, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data.layouts import omiga_smac_fields
from omiga_torchrl.data.layouts.omiga_smac_fields import to_arrays
from omiga_torchrl.data.layouts.pickled import PickledArray
from omiga_torchrl.errors import DataError

WHERE = "OfflineDataset: here"


def step(number, done=False, size=3):
    """State of four features, observation of three, action, reward, end and a mask of two."""
    return [[number] * 4, [number / 2] * size, [1], [-number], done, [1, 0]]


def episode():
    """Two agents of three steps, numbered 0, 1, 2 and 10, 11, 12."""
    return [[step(10 * agent + t, t == 2) for t in range(3)] for agent in range(2)]


def test_fields_of_steps_and_agents():
    found = to_arrays(episode(), WHERE)
    number = np.array([[0, 10], [1, 11], [2, 12]])
    assert list(found) == ["state", "observation", "action", "reward", "done", "action mask"]
    np.testing.assert_array_equal(found["state"], np.repeat(number[..., None], 4, 2))
    np.testing.assert_array_equal(found["observation"], np.repeat(number[..., None], 3, 2) / 2)
    assert found["action"].shape == (3, 2, 1) and (found["reward"][..., 0] == -number).all()
    assert found["done"][..., 0].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert found["action mask"].tolist() == [[[1, 0]] * 2] * 3


def pickled(value):
    found = PickledArray()
    found.array = value
    return found


@pytest.mark.parametrize(
    "value", [(3.0, 4.0), [3, 4], torch.tensor([[3, 4]]), pickled(np.array([[3], [4]], np.int8))]
)
def test_values_of_any_kind(value):
    one = episode()
    for agent in one:
        for each in agent:
            each[5] = value
    assert to_arrays(one, WHERE)["action mask"].tolist() == [[[3, 4]] * 2] * 3


@pytest.mark.parametrize("value", [2, 2.0, [2], np.float32(2), torch.tensor(2), pickled(np.array(2))])
def test_single_values_of_any_kind(value):
    one = [[(*step(0)[:3], value, *step(0)[4:])]]
    assert to_arrays(one, WHERE)["reward"].tolist() == [[[2]]]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({}, "holds no list of agents"),
        ([], "holds no list of agents"),
        ([[step(0)], (step(0),)], "holds no list of agents"),
        ([[], []], r"agents have \[0\] steps; expected one length of at least 1"),
        ([[step(0)], [step(0), step(1)]], r"agents have \[1, 2\] steps"),
        ([[step(0)[:5]]], r"expected steps \[g, o, a, r, d, ava\] of 6 entries"),
        ([[[*step(0), 1]]], r"expected steps \[g, o, a, r, d, ava\] of 6 entries"),
        ([[step(0), "abcdef"]], r"expected steps \[g, o, a, r, d, ava\] of 6 entries"),
        ([[step(0), step(1, size=2)]], "observation cannot be read"),
        (
            [[step(0, done=[0, 1])]],
            "done cannot be read: ValueError: 2 values per agent and step",
        ),
        ([[step(0, done=[])]], "done cannot be read: ValueError: 0 values per agent and step"),
        ([[step(0, done="yes")]], "done cannot be read"),
        ([[step(0, done=[[0]])]], "done cannot be read"),
    ],
)
def test_what_is_no_episode(wrong, problem):
    with pytest.raises(DataError, match=f"OfflineDataset: here:? ?{problem}"):
        to_arrays(wrong, WHERE)


def test_episodes_that_are_far_too_large(monkeypatch):
    monkeypatch.setattr(omiga_smac_fields, "_MOST_VALUES", 24)  # 4 features of a state in 6 steps
    assert to_arrays(episode(), WHERE)["state"].size == 24
    monkeypatch.setattr(omiga_smac_fields, "_MOST_VALUES", 23)
    with pytest.raises(DataError, match="state cannot be read: ValueError: 4 values in each of 6 steps"):
        to_arrays(episode(), WHERE)
