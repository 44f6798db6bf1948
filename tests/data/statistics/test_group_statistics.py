"""Statistics of teams of groups, by hand, and how they are told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data import AgentArrays, Episodes, dataset_statistics, episodes_to_tensordict
from omiga_torchrl.errors import DataError
from omiga_torchrl.report.dataset_figure import draw_dataset
from omiga_torchrl.report.dataset_report import format_statistics


def by_hand(*, absent=False):
    """Two episodes of two and one steps: two cars with one feature, a drone with two and discrete actions."""
    rows, steps = 5, 3
    cars = AgentArrays(
        np.array([[0, 1], [0, 2], [9, 9], [0, 1], [9, 9]], np.float32)[..., None],
        np.array([[0.5, -2.0], [0.5, 0.0], [0.5, -2.0]], np.float32)[..., None],
        reward=np.array([[1, 2], [3, 4], [5, 6]], np.float32),
    )
    if absent:
        cars.agent_mask = np.ones((rows, 2), bool)
        cars.agent_mask[0, 1] = False
    drone = AgentArrays(
        np.zeros((rows, 1, 2), np.float32), np.array([[2], [0], [2]]), np.ones((rows, 1, 4), bool)
    )
    ends = np.array([False, True, True])
    return episodes_to_tensordict(
        Episodes(
            groups={"cars": cars, "drones": drone},
            reward=np.zeros(steps, np.float32),
            terminated=ends,
            truncated=ends & False,
            length=np.array([2, 1]),
        )
    )


def test_by_hand():
    s = dataset_statistics(by_hand())
    cars, drones = s.groups["cars"], s.groups["drones"]
    # cars: always (0, 0.5); (1, -2), (2, 0), (1, -2); drone: (0, 2), (0, 0), (0, 2)
    assert (cars.unique_local, drones.unique_local) == ((1, 2), (2,))
    assert s.unique_local == (1, 2, 2) and s.unique_joint == 2
    assert s.average_oaco == pytest.approx(5 / 9)
    assert (cars.action.minimum, cars.action.maximum) == (((0.5,), (-2.0,)), ((0.5,), (0.0,)))
    assert cars.action.beyond == ((0.0,), (pytest.approx(2 / 3),))
    assert drones.action.discrete and drones.action.histograms[0][0].counts == (1, 0, 2, 0)
    assert (cars.observation_minimum, cars.observation_maximum) == ((0.0,), (2.0,))
    assert cars.present == (1.0, 1.0) and drones.agent_return is None
    # sums of 1 + 3 and 5, and of 2 + 4 and 6, over two episodes
    assert cars.agent_return == (4.5, 6.0)


def test_own_returns_are_raw():
    s = dataset_statistics(by_hand(), reward_scale=2.0)
    assert s.groups["cars"].agent_return == (9.0, 12.0)


def test_absent_agents_count_for_nothing():
    s = dataset_statistics(by_hand(absent=True))
    cars = s.groups["cars"]
    assert cars.present == (1.0, pytest.approx(2 / 3))
    assert cars.unique_local == (1, 2) and cars.observation_minimum == (0.0,)
    assert cars.action.beyond[1] == (0.5,)
    assert sum(cars.action.histograms[1][0].counts) == 2
    # what an absent agent did is no part of the joint action: the third step is still not the first
    assert s.unique_joint == 3


def test_values_of_absent_agents_do_not_matter():
    data, other = by_hand(absent=True), by_hand(absent=True)
    other["cars", "action"][0, 1] = 77
    other["cars", "observation"][0, 1] = 77
    found, expected = dataset_statistics(other), dataset_statistics(data)
    assert found.groups == expected.groups and found.unique_joint == expected.unique_joint


def test_chunks_do_not_matter():
    data = by_hand(absent=True)
    assert dataset_statistics(data, chunk=1) == dataset_statistics(data)


def test_actions_of_several_groups_are_not_those_of_a_team():
    with pytest.raises(DataError, match="the groups cars, drones"):
        dataset_statistics(by_hand()).action  # noqa: B018


def test_what_is_told():
    s = dataset_statistics(by_hand(absent=True))
    found = json.loads(s.to_json())
    assert list(found["groups"]) == ["cars", "drones"] and found["groups"]["cars"]["agent_return"] == [
        4.5,
        6.0,
    ]
    lines = format_statistics(s, "terminal").splitlines()
    for words in (
        ("agents", "3", "in 2 groups"),
        ("cars: agents", "2", "1 observation features each"),
        ("cars: takes part, agent 1", "66.7 %"),
        ("cars: own return, agent 1", "6"),
        ("drones: action range, agent 0", "[0, 2]", "index of the action"),
    ):
        assert any(all(word in line for word in words) for line in lines), words


def test_one_panel_a_group():
    pytest.importorskip("matplotlib")
    figure = draw_dataset(dataset_statistics(by_hand()))
    titles = [panel.get_title() for panel in figure.axes if panel.get_visible()]
    assert titles[3:] == ["Actions of cars (2 agents)", "Actions of drones (1 agent)"]
    heights = [patch.get_data().values for patch in figure.axes[4].patches]
    np.testing.assert_array_equal(heights, [[1, 0, 2, 0]])
