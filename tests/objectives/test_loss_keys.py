"""Which entries the data must have, which they may have, and which are flags."""

from __future__ import annotations

from omiga_torchrl.objectives.loss_keys import TeamKeys

OBSERVATION, ACTION = ("agents", "observation"), ("agents", "action")


def required(read=(), read_at_next=(), fields=(), computed=(), **names):
    return TeamKeys(**names).required(read, read_at_next, fields, computed)


def test_observations_are_always_read():
    assert required() == [OBSERVATION]
    assert required(["state"]) == ["state", OBSERVATION]
    assert required([OBSERVATION, "state", OBSERVATION]) == [OBSERVATION, "state"]


def test_inputs_of_the_next_step_are_under_next_but_for_the_action():
    assert required([], [OBSERVATION, ACTION, "state"]) == [
        ("next", *OBSERVATION),
        ("next", "state"),
        OBSERVATION,
    ]
    assert ("next", *ACTION) in required(fields=["next_action"])
    assert ACTION not in required(fields=["next_action"])


def test_outcomes_are_read_under_next():
    for field in ("reward", "done", "terminated"):
        assert required(fields=[field]) == [("next", field), OBSERVATION]
    assert required(fields=["agent_reward"]) == [("next", "agents", "reward"), OBSERVATION]
    assert required(fields=["is_init", "action"]) == ["is_init", ACTION, OBSERVATION]
    assert required(fields=["action_mask"]) == [
        ("agents", "action_mask"),
        ("next", "agents", "action_mask"),
        OBSERVATION,
    ]


def test_what_is_computed_is_left_out_at_both_steps():
    found = required(["state", "own"], ["own"], ["action"], ["own", OBSERVATION])
    assert found == ["state", ACTION]


def test_names_are_those_that_were_set():
    found = required(
        fields=["reward", "action"], reward="payoff", action=("robots", "move"), observation="seen"
    )
    assert found == [("next", "payoff"), ("robots", "move"), "seen"]


def test_masks_and_flags():
    keys = TeamKeys(agent_mask="alive", is_init="first")
    action_mask = ("agents", "action_mask")
    assert keys.masks == [action_mask, "alive", ("next", *action_mask), ("next", "alive")]
    assert keys.flags == [*keys.masks, ("next", "terminated"), ("next", "done"), "first"]


def test_defaults_that_data_need_not_have():
    keys = TeamKeys()
    assert keys.steps_to_next_obs == "steps_to_next_obs"
    assert keys.priority == "td_error" and keys.priority_weight == "priority_weight"
