"""Ranges of actions are those of agents that take part."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.agent_arrays import AgentArrays
from omiga_torchrl.data.totals import GroupTotals


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
