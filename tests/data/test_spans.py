"""`block_spans`: whole episodes, in order, each once, of about one size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from omiga_torchrl.data.spans import BLOCK_BYTES, block_spans


def spans(lengths, row_bytes=1, block_bytes=10):
    return list(block_spans(np.array(lengths, int), row_bytes, block_bytes))


def test_a_run_may_be_exactly_of_the_size():
    assert spans([4, 6, 1]) == [(0, 2), (2, 3)]
    assert spans([4, 7, 3]) == [(0, 1), (1, 3)]
    assert spans([2, 3, 1], row_bytes=2) == [(0, 2), (2, 3)]


def test_longer_episodes_are_runs_of_their_own():
    assert spans([11, 30, 2, 11]) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_no_episode_is_no_run():
    assert spans([]) == []
    assert spans([1]) == [(0, 1)]


def test_a_run_has_four_mebibytes_by_default():
    assert BLOCK_BYTES == 4 * 1024 * 1024
    lengths = np.array([1, 1, 1])
    assert list(block_spans(lengths, BLOCK_BYTES // 2)) == [(0, 2), (2, 3)]


@given(lengths=st.lists(st.integers(1, 9), max_size=12), row_bytes=st.integers(1, 5), size=st.integers(1, 60))
def test_every_episode_is_in_one_run_and_runs_are_as_long_as_they_may(lengths, row_bytes, size):
    found = spans(lengths, row_bytes, size)
    assert [index for first, last in found for index in range(first, last)] == list(range(len(lengths)))
    for first, last in found:
        assert last == first + 1 or sum(lengths[first:last]) * row_bytes <= size
        assert last == len(lengths) or sum(lengths[first : last + 1]) * row_bytes > size
