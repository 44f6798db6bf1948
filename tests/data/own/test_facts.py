"""`Facts`: agents, sizes and numbers of actions, given or learned from steps as dicts."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.own.facts import Facts


def test_numbers_of_actions_are_of_all_groups_or_of_each():
    assert Facts("here").actions_of("a") is None
    assert Facts("here", n_actions=3).actions_of("a") == 3
    assert [Facts("here", n_actions={"a": 3}).actions_of(group) for group in "ab"] == [3, None]


def test_a_team_names_the_agents_in_order():
    assert Facts("here", team=("b", "a")).agents == ("b", "a")
    assert Facts("here", team={"x": ["c", "a"], "y": ["b"]}).agents == ("c", "a", "b")
    assert Facts("here").agents == () and Facts("here").has_agent_mask


def test_agents_are_learned_in_the_order_in_which_they_appear():
    facts = Facts("here")
    facts.learn({"observation": [{"b": np.zeros(2)}, {"a": np.zeros(3), "b": np.zeros(2)}]})
    facts.learn({"observation": [{"c": np.zeros(2), "a": np.zeros(3)}], "reward": np.zeros(1)})
    assert facts.agents == ("b", "a", "c")
    known = Facts("here", team=("a", "b"))
    known.learn({"observation": [{"z": np.zeros(2)}]})
    assert known.agents == ("a", "b")


def test_what_is_not_of_steps_teaches_nothing():
    facts = Facts("here")
    facts.learn({"observation": np.zeros((3, 2)), "reward": [{"a": 1.0}]})
    assert facts.agents == () and list(facts.zeros) == [("reward", "a")]


def test_nothing_has_the_agents_own_size_or_that_of_its_group():
    facts = Facts("here", team={"x": ["a", "b"], "y": ["c", "d"]})
    facts.learn({"observation": [{"b": np.ones(2)}, {"c": np.ones(4), "b": np.ones(3)}]})
    assert facts.nothing("observation", "b").tolist() == [0, 0]  # of the first that was seen
    assert facts.nothing("observation", "a").shape == (2,)
    assert facts.nothing("observation", "d").shape == (4,)
    assert facts.nothing("reward", "a").shape == ()


def test_without_groups_all_agents_are_of_one_size():
    facts = Facts("here")
    facts.learn({"observation": [{"a": np.ones(5)}, {"b": np.ones(5)}], "action": [{"a": 1}]})
    assert facts.nothing("action", "b").shape == () and facts.nothing("action", "b").dtype.kind == "i"
    assert facts.nothing("observation", "unknown").shape == (5,)
