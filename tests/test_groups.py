"""`TeamSpec.from_groups`, `GroupedTeamSpec` and gathering: by hand on two small groups."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.errors import DataError
from omiga_torchrl.gathering import join_kinds, select_kind
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.specs import TeamSpec

CARS, DRONES = TeamSpec(2, 1, 1, 3, agents=("red", "blue")), TeamSpec(1, 2, 2, 3, agents=("eye",))
SPEC = TeamSpec.from_groups({"cars": CARS, "drones": DRONES})


def test_one_group_of_the_usual_name_is_a_plain_team():
    assert TeamSpec.from_groups({"agents": CARS}) == CARS
    assert isinstance(TeamSpec.from_groups({"robots": CARS}), GroupedTeamSpec)


def test_sizes():
    assert (SPEC.n_agents, SPEC.state_size, SPEC.discrete, SPEC.is_mixed) == (3, 3, False, False)
    assert SPEC.spans == {"cars": (0, 2), "drones": (2, 3)}
    assert SPEC.group_map == {"cars": ["red", "blue"], "drones": ["eye"]}
    assert SPEC.agent_names == ("red", "blue", "eye")
    assert SPEC.largest("observation_size") == 2


def test_a_size_that_differs_is_an_error_and_no_number():
    with pytest.raises(ValueError, match=r"observation_size differs between groups \(cars 1, drones 2\)"):
        _ = SPEC.observation_size
    with pytest.raises(AttributeError, match="colour"):
        _ = SPEC.colour


@pytest.mark.parametrize("change", [copy.copy, copy.deepcopy, lambda spec: pickle.loads(pickle.dumps(spec))])
def test_copies(change):
    assert change(SPEC) == SPEC and hash(change(SPEC)) == hash(SPEC)


def test_plain_values_and_back():
    found = TeamSpec.from_dict(SPEC.to_dict())
    assert found == SPEC and found.group_map == SPEC.group_map
    assert TeamSpec.from_dict(CARS.to_dict()) == CARS
    assert "agents" not in TeamSpec(2, 1, 1, 3).to_dict()  # as cards of former versions


def test_bounds_of_every_feature():
    spec = TeamSpec(2, 3, 2, 4, action_low=(-1, -2), action_high=(1, 1))
    assert (spec.action_low, spec.action_high) == ((-1.0, -2.0), 1.0)
    assert TeamSpec.from_dict({**spec.to_dict(), "action_low": [-1.0, -2.0]}) == spec
    with pytest.raises(ValueError, match=r"action_low must be a number, or 2 of them.*got the shape \(3,\)"):
        TeamSpec(2, 3, 2, 4, action_low=(-1, -2, -3))
    with pytest.raises(ValueError, match="action_low must be at most action_high"):
        TeamSpec(2, 3, 2, 4, action_low=2.0)


def test_features_that_an_agent_does_not_have():
    spec = TeamSpec(2, 3, 2, 4, action_low=[[-1, -1], [-1, 0]], action_high=[[1, 1], [1, 0]])
    assert spec.action_feature_mask == ((True, True), (True, False))
    assert spec.action_low == ((-1.0, -1.0), (-1.0, 0.0))
    assert TeamSpec.from_dict(spec.to_dict()) == spec
    assert TeamSpec(2, 3, 2, 4, action_low=[[-1, -1], [-1, -1]]).action_low == -1.0


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "at least one group"),
        (
            {"cars": CARS, "reds": TeamSpec(1, 1, 1, 3, agents=("red",))},
            "agent 'red' must be in one group.*cars",
        ),
        ({"cars": CARS, "none": TeamSpec(0, 1, 1, 3)}, "group 'none' must have agents"),
        ({"next": CARS, "drones": DRONES}, "must not be named 'next'"),
        ({"cars": CARS, "drones": TeamSpec(1, 2, 2, 4)}, r"state_size must be the same.*\[3, 4\]"),
    ],
)
def test_groups_that_are_none(groups, message):
    with pytest.raises(ValueError, match=message):
        TeamSpec.from_groups(groups)


def batch():
    cars = {
        "observation": torch.tensor([[[1.0], [2.0]]]),
        "action": torch.tensor([[[0.1], [0.2]]]),
        "agent_mask": torch.tensor([[True, False]]),
    }
    drones = {"observation": torch.tensor([[[3.0, 4.0]]]), "action": torch.tensor([[[0.3, 0.4]]])}
    return TensorDict(
        {"cars": cars, "drones": drones, "state": torch.zeros(1, 3), "next": {"cars": {}, "drones": {}}}, [1]
    )


def test_gathering_by_hand():
    data = batch()
    team = SPEC.gather(data)
    assert team["agents", "observation"].tolist() == [[[1.0, 0.0], [2.0, 0.0], [3.0, 4.0]]]
    torch.testing.assert_close(team["agents", "action"], torch.tensor([[[0.1, 0.0], [0.2, 0.0], [0.3, 0.4]]]))
    assert team["agents", "agent_mask"].tolist() == [[True, False, True]]
    assert team["state"] is data["state"]
    assert "cars" not in set(team.keys()) and ("agents", "action_mask") not in team.keys(True)


def test_actions_that_a_group_lacks_are_illegal():
    sizes = {"a": TeamSpec(1, 1, 2, 3, discrete=True), "b": TeamSpec(1, 1, 3, 3, discrete=True)}
    spec = TeamSpec.from_groups(sizes)
    data = TensorDict(
        {
            "a": {"observation": torch.zeros(1, 1, 1), "action": torch.tensor([[[0, 1]]])},  # one-hot
            "b": {"observation": torch.zeros(1, 1, 1), "action": torch.tensor([[[2]]])},
        },
        [1],
    )
    team = spec.gather(data)
    assert team["agents", "action"].tolist() == [[1, 2]]
    assert team["agents", "action_mask"].tolist() == [[[True, True, False], [True, True, True]]]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (("cars", "observation"), torch.zeros(1, 3, 1), r"\('cars', 'observation'\) must have 2 agents"),
        (("cars", "action"), torch.zeros(1, 2, 2), r"\('cars', 'action'\) must have 1 features"),
        (
            ("drones", "agent_mask"),
            torch.zeros(2, 1).bool(),
            r"\('drones', 'agent_mask'\) must have 1 agents",
        ),
    ],
)
def test_data_of_other_sizes(key, value, message):
    data = batch()
    data = TensorDict(data.to_dict(), []).set(key, value)
    with pytest.raises(ValueError, match=message):
        SPEC.gather(data)


def test_agents_of_each_kind_and_back():
    spec = TeamSpec.from_groups(
        {
            "a": TeamSpec(1, 1, 2, 3, discrete=True),
            "b": TeamSpec(2, 1, 1, 3),
            "c": TeamSpec(1, 1, 4, 3, discrete=True),
        }
    )
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    continuous, discrete = (select_kind(spec, values, kind, -1) for kind in ("continuous", "discrete"))
    assert continuous.tolist() == [[2.0, 3.0]] and discrete.tolist() == [[1.0, 4.0]]
    assert torch.equal(join_kinds(spec, continuous, discrete, dim=-1), values)


def test_discrete_actions_that_are_floats_are_refused():
    discrete = TeamSpec(3, 5, 4, 7, discrete=True)
    one_hot = discrete.fake_batch(6)
    one_hot["agents", "action"] = torch.nn.functional.one_hot(one_hot["agents", "action"], 4).float()
    with pytest.raises(DataError, match=r"must be integers where they are discrete, got .*all one-hot"):
        TeamSpec.from_batch(one_hot)
    assert not TeamSpec.from_batch(one_hot, discrete=False).discrete
    masked = TeamSpec(3, 5, 4, 7, discrete=True, masked=True).fake_batch(6)
    masked["agents", "action"] = masked["agents", "action"].float()
    with pytest.raises(DataError, match="with an action mask"):
        TeamSpec.from_batch(masked)
