"""Rows with a mark: those behind a last step, and those that no step comes before, whose rewards count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.omiga_mujoco_ends import count_alone, find_episodes
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.row_ends import RowEnds
from omiga_torchrl.errors import DataError


def test_a_reward_of_one_agent_is_a_reward() -> None:
    rewards = np.array([[9.0, 9.0], [0.0, 4.0], [0.0, 0.0], [2.0, 2.0]])
    left_out = LeftOut()
    count_alone(rewards, np.array([1, 2, 3]), ReadOptions(team_reward="sum"), Path("a.hdf5"), left_out)
    assert left_out.steps == 2
    assert np.concatenate(left_out.single).tolist() == [4.0, 4.0]


def test_rows_without_any_reward_leave_nothing_out() -> None:
    left_out = LeftOut()
    count_alone(np.ones((3, 1)), np.array([], int), ReadOptions(), Path("a.hdf5"), left_out)
    assert left_out.rewards == [] and left_out.steps == 0


def find(*marks: int, rows: int, **options: Any) -> tuple[RowEnds, list[int], EndNotes]:
    """The episodes of rows of which some have a mark."""
    flags, notes = np.isin(np.arange(rows), marks).astype(np.float32)[:, None], EndNotes()
    fields: Any = {"d": flags}
    ends, alone = find_episodes(fields, Path("a.hdf5"), ReadOptions(**options), notes)
    assert ends.delimited.all() and (ends.terminated == ~ends.cut).all()
    return ends, alone.tolist(), notes


def test_a_mark_stands_behind_the_last_step() -> None:
    ends, alone, notes = find(2, 4, 7, rows=8)
    assert ends.start.tolist() == [0, 3, 5] and ends.steps.tolist() == [2, 1, 2]
    assert ends.terminated.all() and alone == [] and notes.dropped == {"delimiter rows": 3}


def test_marks_without_a_step_before_them() -> None:
    ends, alone, notes = find(0, 3, 4, 6, 7, rows=8)
    assert ends.start.tolist() == [1, 5] and ends.steps.tolist() == [2, 1] and alone == [0, 4, 7]
    assert notes.dropped == {"delimiter rows without an episode": 3, "delimiter rows": 2}


def test_rows_behind_the_last_mark() -> None:
    with pytest.raises(DataError, match=r"a.hdf5: the last episode, rows 3 to 5, has no end"):
        find(2, rows=6)
    ends, alone, notes = find(2, rows=6, incomplete="truncated")
    assert ends.start.tolist() == [0, 3] and ends.steps.tolist() == [2, 2] and alone == []
    assert ends.cut.tolist() == [False, True] and notes.dropped == {"delimiter rows": 1}
    ends, alone, notes = find(2, rows=4, incomplete="truncated")
    assert ends.start.tolist() == [0] and alone == [3]
    assert notes.dropped == {"delimiter rows without an episode": 1, "delimiter rows": 1}
    ends, _, notes = find(rows=3, incomplete="truncated")
    assert ends.start.tolist() == [0] and ends.steps.tolist() == [2] and ends.cut.all() and not notes.dropped
    assert not len(find(rows=0)[0].start)
