"""Ranges of actions are those of agents that take part."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.agent_arrays import AgentArrays
from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.totals import LARGEST, GroupTotals, Totals
from omiga_torchrl.specs import TeamSpec


def test_actions_of_absent_agents_have_no_part_in_the_range() -> None:
    totals = GroupTotals(np.array(-1.0), np.array(1.0))
    action = np.array([[[0.5], [9.0]], [[-0.25], [0.75]]])
    present = np.array([[True, False], [True, True], [True, True]])
    seen = np.zeros((3, 2, 1), np.float32)
    totals.add(
        AgentArrays(observation=seen, action=action, agent_mask=present), np.array([True, True, False])
    )
    assert totals.lowest.tolist() == [[-0.25], [0.0]] and totals.highest.tolist() == [[0.5], [0.75]]
    assert totals.outside == 0


@pytest.mark.parametrize("value", [np.inf, np.nan, 10 * LARGEST])
@pytest.mark.parametrize("name", ["observation", "action", "state"])
def test_one_feature_that_is_no_number_is_told(name: str, value: float) -> None:
    arrays = {"observation": np.zeros((3, 2, 4)), "action": np.zeros((2, 2, 3)), "state": np.zeros((3, 5))}
    arrays[name][(1, *[0] * (arrays[name].ndim - 2), -1)] = value
    ends = {"terminated": np.array([False, True]), "truncated": np.zeros(2, bool)}
    block = Episodes(**arrays, **ends, reward=np.zeros(2), length=np.array([2]))
    totals = Totals.of_team(TeamSpec(2, 4, 3, 5))
    totals.add(block)
    [told] = totals.not_finite(block)
    assert told.startswith(f"'{name}' is ") and told.endswith("in 1 rows, first near row 1")


def test_a_large_feature_that_never_changes_is_told() -> None:
    seen = np.zeros((3, 2, 4))
    seen[..., -1] = 10 * LARGEST
    block = Episodes(
        observation=seen, action=np.zeros((2, 2, 3)), reward=np.zeros(2), length=np.array([2]),
        terminated=np.array([False, True]), truncated=np.zeros(2, bool),
    )  # fmt: skip
    totals = Totals.of_team(TeamSpec(2, 4, 3, 8))
    totals.add(block)
    assert list(totals.not_finite(block)) == ["'observation' is beyond 1e+18 in 3 rows, first near row 0"]
