"""Rows with a mark that no step comes before: what any agent got there is left out, and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.omiga_mujoco_ends import count_alone
from omiga_torchrl.data.layouts.options import ReadOptions


def test_a_reward_of_one_agent_is_a_reward() -> None:
    rewards = np.array([[9.0, 9.0], [0.0, 4.0], [0.0, 0.0], [2.0, 2.0]])
    left_out = LeftOut()
    count_alone(rewards, np.array([1, 2, 3]), ReadOptions(team_reward="sum"), Path("a.hdf5"), left_out)
    assert left_out.steps == 2
    assert np.concatenate(left_out.single).tolist() == [4.0, 4.0]
