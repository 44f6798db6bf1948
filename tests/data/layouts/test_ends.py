"""``max_steps`` is an episode's length that ran out of time: shorter and longer ones ended by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.ends import relabel_ends, required_limit, split_ends
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.row_ends import RowEnds, terminated_episodes

LENGTHS = np.array([2, 3, 4, 3])
LAST = np.cumsum(LENGTHS) - 1
LATE = ReadOptions(timeout_is_terminal=False, max_steps=3)
ENDED = np.isin(np.arange(LENGTHS.sum()), LAST)
NONE = np.zeros_like(ENDED)


def of_episodes(flags: np.ndarray) -> list[bool]:
    assert not flags[~ENDED].any()
    return flags[LAST].tolist()


def test_ends_without_a_reason_are_split_by_length() -> None:
    terminated, truncated = split_ends(ENDED, LENGTHS, LATE)
    assert of_episodes(terminated) == [True, False, True, False]
    assert of_episodes(truncated) == [False, True, False, True]
    terminated, truncated = split_ends(ENDED, LENGTHS, ReadOptions())
    assert of_episodes(terminated) == [True] * 4 and not truncated.any()


def test_ends_with_a_reason_keep_it_beside_those_of_that_length() -> None:
    of_time = NONE.copy()
    of_time[LAST[0]] = True
    terminated, truncated = relabel_ends(ENDED & ~of_time, of_time, LENGTHS, LATE)
    assert of_episodes(terminated) == [False, False, True, False]
    assert of_episodes(truncated) == [True, True, False, True]
    terminated, truncated = relabel_ends(ENDED & ~of_time, of_time, LENGTHS, ReadOptions())
    assert of_episodes(terminated) == [False, True, True, True]


@pytest.mark.parametrize("delimited", [False, True])
def test_rows_that_delimit_are_no_steps(delimited: bool) -> None:
    rows, every = LENGTHS + delimited, np.ones(4, bool)
    ends = RowEnds(np.cumsum(rows) - rows, rows, every & delimited, every, ~every)
    assert terminated_episodes(ends, LATE).tolist() == [True, False, True, False]
    assert terminated_episodes(ends, ReadOptions()).tolist() == [True] * 4


def test_the_limit_has_to_be_said() -> None:
    with pytest.raises(ValueError, match="pass max_steps="):
        required_limit(ReadOptions(timeout_is_terminal=False))
