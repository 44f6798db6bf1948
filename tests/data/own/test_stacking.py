"""Steps as dicts become one array an agent."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.stacking import stack_steps
from omiga_torchrl.errors import DataError


def stacked(facts=None, **given):
    return stack_steps(given, facts or Facts("here"), "here")


def seen(*values):
    return {agent: np.array([value, value + 0.5]) for agent, value in zip("ab", values, strict=False)}


def test_every_agent_gets_an_array_of_all_steps():
    found = stacked(
        observation=[seen(1, 10), seen(2, 20), seen(3, 30)],
        action=[{"a": 1, "b": 2}, {"a": 3, "b": 4}],
        reward=np.zeros(2),
    )
    assert found["observation"]["a"].tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]
    assert found["action"]["b"].tolist() == [2, 4] and found["reward"].tolist() == [0, 0]
    assert {name: mask.tolist() for name, mask in found["agent_mask"].items()} == {
        "a": [True] * 3, "b": [True] * 3,
    }  # fmt: skip


def test_who_acts_takes_part_and_who_is_seen_last():
    found = stacked(
        observation=[seen(1, 10), seen(2, 20), seen(3), {"b": np.ones(2)}],
        action=[{"a": 1, "b": 2}, {"a": 3}, {"a": 5}],
        reward=[{"a": 1.0}, {"a": 2.0}, {"b": 3.0}],
    )
    assert found["agent_mask"]["a"].tolist() == [True, True, True, False]
    assert found["agent_mask"]["b"].tolist() == [True, False, False, True]
    assert found["observation"]["b"].tolist() == [[10, 10.5], [20, 20.5], [0, 0], [1, 1]]
    assert found["action"]["b"].tolist() == [2, 0, 0]
    assert found["reward"]["b"].tolist() == [0, 0, 3] and found["reward"]["a"].tolist() == [1, 2, 0]


def test_masks_are_left_out_where_they_are_given_or_all_are_there():
    given = {"observation": [seen(1, 2)], "action": [{"a": 0, "b": 0}]}
    assert "agent_mask" not in stacked(Facts("here", has_agent_mask=False), **given)
    own = [{"a": True, "b": False}]
    assert stacked(agent_mask=own, **given)["agent_mask"]["b"].tolist() == [False]


def test_a_last_observation_of_nobody_is_none():
    given = {"observation": [seen(1), seen(2), {}], "action": [{"a": 0}, {"a": 0}]}
    found = stacked(**given)
    assert len(found["observation"]["a"]) == 2 and len(found["agent_mask"]["a"]) == 2
    assert len(given["observation"]) == 3
    in_the_middle = stacked(observation=[seen(1), {}], action=[{"a": 0}, {}])
    assert len(in_the_middle["observation"]["a"]) == 2


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_there_are_as_many_observations_as_actions_or_one_more(steps):
    with pytest.raises(DataError, match=rf"'observation' has {steps} steps, 'action' 2"):
        stacked(observation=[seen(1)] * steps, action=[{"a": 0}] * 2)
    for right in (2, 3):
        assert len(stacked(observation=[seen(1)] * right, action=[{"a": 0}] * 2)["action"]["a"]) == 2


def test_who_acts_must_be_seen_and_known():
    with pytest.raises(DataError, match=r"\['b'\] act in step 1 without an 'observation'"):
        stacked(observation=[seen(1, 2), seen(1)], action=[{"a": 0}, {"a": 0, "b": 0}])
    with pytest.raises(DataError, match=r"'observation' has the agents \['b'\], which team lacks"):
        stacked(Facts("here", team=("a",)), observation=[seen(1, 2)], action=[{"a": 0}])
    with pytest.raises(DataError, match="'action' is no list of one dict a step"):
        stacked(observation=[seen(1)], action=np.zeros((1, 1)))


def test_sizes_stay_the_same():
    with pytest.raises(DataError, match="here: 'observation' of agent 'a' changes its size"):
        stacked(observation=[seen(1), {"a": np.zeros(3)}], action=[{"a": 0}] * 2)
