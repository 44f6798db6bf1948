"""Rows that the next row does not go on from, in any of the agents."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.breaks import find_breaks


def columns(*rows):
    return np.array(rows, np.float64)


@pytest.mark.parametrize("piece", [1, 2, 3, 4, 5, 100])
def test_breaks_and_moves_of_two_agents(piece):
    first = columns([0, 9], [1, 9], [2, 9], [7, 9], [7, 9])
    first_after = columns([1, 9], [2, 9], [3, 9], [7, 9], [8, 9])  # breaks behind row 2
    second = columns([0], [0], [0], [0], [4])
    second_after = columns([0], [0], [0], [1], [5])  # and behind row 3
    breaks, moves = find_breaks([(first, first_after), (second, second_after)], 5, piece)
    assert breaks.tolist() == [False, False, True, True, False]
    assert moves.tolist() == [True, True, True, True, False]
    breaks, moves = find_breaks(iter([(first, first_after)]), 5, piece)
    assert breaks.tolist() == [False, False, True, False, False]
    assert moves.tolist() == [True, True, True, False, False]


def test_one_feature_is_enough_and_the_last_row_has_none_behind_it():
    seen, after = columns([0, 0], [1, 1], [2, 2]), columns([1, 0], [2, 2], [9, 9])
    breaks, moves = find_breaks([(seen, after)], 3, 2)
    assert breaks.tolist() == [True, False, False] and moves.tolist() == [True, True, False]
    assert [found.tolist() for found in find_breaks([(seen[:1], after[:1])], 1, 2)] == [[False], [False]]


def test_they_are_compared_in_single_precision():
    seen = np.arange(4)[:, None] / 3
    after = (seen + 1 / 3).astype(np.float32)
    breaks, moves = find_breaks([(seen, after)], 4, 2)
    assert not breaks.any() and moves.tolist() == [True, True, True, False]
    assert not find_breaks([(np.full((3, 1), 1.0) + [[0], [1e-12], [0]], after)], 3, 2)[1].any()
