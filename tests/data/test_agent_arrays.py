"""`AgentArrays`: which arrays fit together, their names in files, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.agent_arrays import (
    AgentArrays,
    joined_names,
    joined_observations,
    require_types,
    split_names,
    to_flags,
)
from omiga_torchrl.errors import DataError

TEAM = ("reward", "terminated", "truncated", "length")


def arrays(rows=5, steps=3, agents=2, *, offset=0, **changes):
    """Arrays whose every number says its place."""
    given = {
        "observation": offset + np.arange(rows * agents * 4.0).reshape(rows, agents, 4),
        "action": offset + np.arange(steps * agents * 3.0).reshape(steps, agents, 3),
        "action_mask": np.arange(rows * agents * 6).reshape(rows, agents, 6) % 2 == 0,
        "agent_mask": np.arange(rows * agents).reshape(rows, agents) % 3 > 0,
        "reward": offset - np.arange(float(steps * agents)).reshape(steps, agents),
    }
    return AgentArrays(**{**given, **changes})


def problems(group, name="prey", rows=5, steps=3):
    return list(group.problems(name, rows, steps))


def test_agents_are_the_second_dimension_and_only_floats_are_continuous():
    assert arrays(agents=3).n_agents == 3
    assert not arrays().is_discrete
    for dtype in (np.int64, np.uint8, np.bool_):
        assert arrays(action=np.zeros((3, 2), dtype)).is_discrete


def test_arrays_leave_out_what_is_none_and_nothing_else():
    assert list(arrays().arrays()) == ["observation", "action", "action_mask", "agent_mask", "reward"]
    assert list(arrays(action_mask=None, reward=None).arrays()) == ["observation", "action", "agent_mask"]


def test_a_part_takes_rows_of_what_has_rows_and_steps_of_the_rest():
    whole = arrays()
    part = whole.part(slice(1, 4), slice(1, 3))
    for name in ("observation", "action_mask", "agent_mask"):
        assert (getattr(part, name) == getattr(whole, name)[1:4]).all()
        assert getattr(part, name).shape[0] == 3
    for name in ("action", "reward"):
        assert (getattr(part, name) == getattr(whole, name)[1:3]).all()
    assert np.shares_memory(part.observation, whole.observation)
    chosen = whole.part(np.array([True, False, False, True, True]), np.array([False, True, True]))
    assert (chosen.observation == whole.observation[[0, 3, 4]]).all()
    assert (chosen.action == whole.action[1:]).all()


def test_arrays_that_fit_have_no_problem():
    assert problems(arrays()) == []
    assert problems(AgentArrays(np.zeros((5, 2, 4)), np.zeros((3, 2), int))) == []


@pytest.mark.parametrize("entry", ["observation", "action_mask", "agent_mask", "action", "reward"])
def test_every_array_needs_its_number_of_rows(entry):
    whole = arrays()
    short = arrays(**{entry: getattr(whole, entry)[:-1]})
    [found] = problems(short)
    expected = len(getattr(whole, entry))
    assert found == f"'prey/{entry}' has {expected - 1} rows, expected {expected}"


@pytest.mark.parametrize("entry", ["action_mask", "agent_mask", "action", "reward"])
def test_every_array_needs_the_agents_of_the_observations(entry):
    [found] = problems(arrays(**{entry: getattr(arrays(agents=3), entry)}))
    assert f"'prey/{entry}' has shape (" in found and "the observations (5, 2, 4)" in found


@pytest.mark.parametrize("entry", ["agent_mask", "reward"])
def test_one_value_an_agent_has_no_third_dimension(entry):
    assert len(problems(arrays(**{entry: getattr(arrays(), entry)[..., None]}))) == 1
    assert problems(arrays(action_mask=np.ones((5, 2, 1), bool))) == []


@pytest.mark.parametrize(
    ("entry", "shape"), [("observation", (5, 2, 0)), ("action", (3, 2, 0)), ("action_mask", (5, 2, 0))]
)
def test_there_is_at_least_one_feature(entry, shape):
    [found] = problems(arrays(**{entry: np.zeros(shape)}))
    assert f"'prey/{entry}' has shape {shape}, expected at least one" in found


def test_names_of_groups_are_not_empty_and_have_no_slash():
    for name in ("", "a/b"):
        assert "a group is named" in problems(arrays(), name)[0]
    assert problems(arrays(), "a_b") == []
    short = arrays(observation=np.zeros((4, 2, 4)))
    assert problems(short, "agents")[0].startswith("'observation' has 4 rows")


def test_concatenation_keeps_the_order_and_what_all_parts_have():
    one, two = arrays(), arrays(rows=4, steps=2, offset=100)
    both = AgentArrays.concatenate([one, two])
    assert (both.observation[5:] == two.observation).all() and (both.observation[:5] == one.observation).all()
    assert (both.reward[3:] == two.reward).all() and len(both.action_mask) == 9
    assert (both.agent_mask == np.concatenate([one.agent_mask, two.agent_mask])).all()


@pytest.mark.parametrize("name", ["action_mask", "reward"])
def test_what_only_some_parts_have_is_refused_in_any_order(name):
    whole, bare = arrays(), arrays(**{name: None})
    for parts in ([whole, bare], [bare, whole]):
        with pytest.raises(DataError, match=rf"some parts have \['{name}'\] and some do not"):
            AgentArrays.concatenate(parts)
    assert getattr(AgentArrays.concatenate([bare, bare]), name) is None
    assert (AgentArrays.concatenate([whole]).reward == whole.reward).all()


def test_agents_of_a_part_without_a_mask_take_part():
    one, two = arrays(), arrays(agent_mask=None)
    mask = AgentArrays.concatenate([two, one]).agent_mask
    assert mask[:5].all() and (mask[5:] == one.agent_mask).all() and mask.dtype == bool
    assert AgentArrays.concatenate([two, two]).agent_mask is None


def test_joined_observations_keep_groups_and_agents_in_order():
    one = AgentArrays(np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]), np.zeros((1, 2, 1)))
    two = AgentArrays(np.array([[[9]], [[10]]]), np.zeros((1, 1, 1)))
    assert joined_observations({"b": one, "a": two}).tolist() == [[1, 2, 3, 4, 9], [5, 6, 7, 8, 10]]
    alone = joined_observations({"b": one})
    assert alone.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert np.shares_memory(alone, one.observation)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_zeros_and_ones_are_flags(dtype):
    flags = to_flags(np.array([0, 1, 0], dtype))
    assert flags.dtype == bool and flags.tolist() == [False, True, False]
    assert to_flags(np.ones(2, dtype)).tolist() == [True, True]


def test_other_values_are_no_flags():
    for values in (np.array([0, 1, 2]), np.array([0.5, 1.0]), np.array([np.nan, 1.0]), np.array(["0", "1"])):
        assert to_flags(values) is values
    already = np.array([True, False])
    assert to_flags(already) is already


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("terminated", np.zeros(3)),
        ("truncated", np.zeros(3, int)),
        ("prey/agent_mask", np.zeros((3, 2))),
        ("action_mask", np.zeros((3, 2, 4), int)),
        ("length", np.zeros(3)),
        ("length", np.zeros(3, bool)),
        ("reward", np.array(["1"])),
        ("state", np.zeros((3, 2), complex)),
    ],
)
def test_types_that_an_array_must_not_have(name, value):
    with pytest.raises(DataError, match=f"'{name}' has type {value.dtype}"):
        require_types({name: value})


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("observation", (3,)),
        ("prey/action", (2, 3)),
        ("action_mask", (3,)),
        ("prey/agent_mask", (2,)),
        ("reward", (1, 2)),
        ("length", (1,)),
        ("terminated", (1,)),
        ("truncated", (1,)),
        ("state", (2,)),
    ],
)
def test_dimensions_that_an_array_may_have(name, allowed):
    flags = name.endswith("mask") or name in ("terminated", "truncated")
    for dimensions in range(5):
        value = np.ones((2,) * dimensions, bool if flags else int)
        if dimensions in allowed:
            require_types({name: value})
        else:
            with pytest.raises(DataError, match=f"'{name}' has shape .*expected {allowed[-1]} dimensions"):
                require_types({name: value})


def test_all_wrong_types_are_in_one_message():
    with pytest.raises(DataError, match=r"'length' has type float64; 'state' has shape \(2,\)"):
        require_types({"length": np.ones(1), "state": np.ones(2), "reward": np.ones(2)})


def test_own_rewards_of_a_plain_team_are_not_the_teams():
    team = {"reward": np.zeros(3), "length": np.array([3]), "state": None}
    names = joined_names({"agents": arrays()}, team)
    assert list(names) == [
        "observation", "action", "reward", "length", "action_mask", "agent_mask", "agents/reward",
    ]  # fmt: skip
    with_state = joined_names({"agents": arrays()}, {**team, "state": np.zeros((5, 1))})
    assert list(with_state) == [*names, "state"]
    assert names["reward"].ndim == 1 and names["agents/reward"].ndim == 2


def test_names_lead_back_to_the_arrays():
    team = {name: np.zeros(3) for name in TEAM}
    for groups in ({"agents": arrays()}, {"b": arrays(), "a": arrays(agents=1, agent_mask=None)}):
        for state in (None, np.ones((5, 2))):
            back, rest = split_names(joined_names(groups, {**team, "state": state}), TEAM, "x")
            assert list(back) == list(groups)
            for name, group in groups.items():
                assert back[name].arrays().keys() == group.arrays().keys()
                assert all((group.arrays()[key] == one).all() for key, one in back[name].arrays().items())
            assert rest.keys() == {*TEAM, *(() if state is None else ("state",))}


def test_missing_and_unknown_arrays_are_named():
    team = {name: np.zeros(3) for name in TEAM}
    whole = joined_names({"prey": arrays()}, team)
    for gone in ("prey/observation", "prey/action", "length"):
        rest = {name: value for name, value in whole.items() if name != gone}
        with pytest.raises(DataError, match=rf"here lacks \['{gone}'\] and has unknown \[\]"):
            split_names(rest, TEAM, "here")
    with pytest.raises(DataError, match=r"lacks \[\] and has unknown \['prey/speed'\]"):
        split_names({**whole, "prey/speed": np.zeros(3)}, TEAM, "here")
    with pytest.raises(DataError, match=r"lacks \['action', 'observation'\] and has unknown \[\]"):
        split_names(team, TEAM, "here")
