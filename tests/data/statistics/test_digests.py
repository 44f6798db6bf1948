"""Digests: equal for equal rows, and different for all others, however regular the rows are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.statistics import digests as module
from omiga_torchrl.data.statistics.digests import count_unique, row_digests

# Few values, so that rows repeat; Python holds 0.0 and -0.0 for the same number, too.
VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1e-30])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES, st.integers(-1, 1), st.booleans()), max_size=30))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_unique_rows_are_those_of_a_python_set(rows, kind):
    floats = np.array([row[:2] for row in rows], kind).reshape(-1, 2)
    integers, flags = (np.array([row[i] for row in rows], dtype) for i, dtype in ((2, np.int64), (3, bool)))
    assert count_unique(row_digests(floats, integers, flags)) == len(set(rows))


@pytest.mark.parametrize(
    "rows",
    [
        np.array(list(itertools.product(range(8), repeat=5))),
        np.array(list(itertools.product([0.0, 0.25, 0.5, 1.0, 2.0], repeat=6)), np.float32),
        np.eye(200, dtype=np.float32),
        np.arange(200_000),
        2.0 ** np.arange(-100, 100),
    ],
    ids=["grid", "powers of two", "one-hot", "numbers", "exponents"],
)
def test_regular_rows_do_not_collide(rows):
    found = row_digests(rows)
    assert count_unique(found) == len(rows)
    # either half would do
    assert all(len(np.unique(half)) == len(rows) for half in found.T)


def test_the_order_and_place_of_entries_matters():
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0]])
    swapped = [row_digests(np.array([list(p)])) for p in itertools.permutations([1.0, 2.0, 3.0])]
    assert count_unique(np.concatenate(swapped)) == 6
    assert (row_digests(a, b) == row_digests(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))).all()


def test_sums_of_digests_keep_apart_what_was_added():
    """Exchanging entries between rows changes the sum of the rows' digests."""
    straight = row_digests(np.array([[0, 5], [1, 6]])).sum(0)
    crossed = row_digests(np.array([[0, 6], [1, 5]])).sum(0)
    assert (straight != crossed).all()


def test_blocks_make_no_difference(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(100, 7)).astype(np.float32)
    whole = row_digests(rows)
    monkeypatch.setattr(module, "_BLOCK_WORDS", 30)
    assert (row_digests(rows) == whole).all()
    assert (np.concatenate([row_digests(row[None]) for row in rows]) == whole).all()


def test_bits_are_even():
    bits = np.unpackbits(row_digests(np.arange(20_000)).view(np.uint8).reshape(20_000, 16), axis=1)
    assert bits.shape == (20_000, 128)
    assert np.abs(bits.mean(0) - 0.5).max() < 0.02


def test_rows_that_collide_in_one_half_are_told_apart():
    made_up = np.array([[1, 1], [1, 2], [1, 1], [2, 1]], np.uint64)
    assert count_unique(made_up) == 3
    assert count_unique(made_up[:0]) == 0
