"""Time limits that only observations show: walks that begin anew, and those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import time_limits
from omiga_torchrl.data.layouts.time_limits import find_time_limit, overdue


def walk(changes):
    """Observations `[T, 1]` that change so much from row to row."""
    return np.cumsum(np.append(0.0, changes))[:, None]


def jumping(rows, limit, size=100.0):
    """Changes of one, and such a jump after every ``limit`` rows."""
    return np.where(np.arange(1, rows) % limit == 0, size, 1.0)


def limit_of(seen, ended=()):
    asked = []

    def read(first, last):
        asked.append((first, last))
        return seen[first:last]

    found = find_time_limit(read, np.isin(np.arange(len(seen)), ended))
    assert all(0 <= first < last <= len(seen) for first, last in asked)
    return found


@pytest.mark.parametrize(
    ("ended", "limit", "expected"),
    [
        ([1], 2, [1, 3, 5]),
        ([1], 3, [4]),
        ([], 2, [1, 3, 5]),
        ([], 7, [6]),
        ([6], 3, [2, 5]),
        ([0, 1, 4], 1, list(range(7))),
        ([0, 1, 4], 2, [3, 6]),
        ([], 8, []),
    ],
)
def test_rows_that_are_overdue(ended, limit, expected):
    found = overdue(np.isin(np.arange(7), ended), limit)
    assert np.flatnonzero(found).tolist() == expected


def test_three_jumps_and_eight_rows_are_the_least():
    assert limit_of(walk(jumping(8, 2))) == 2
    assert limit_of(walk(jumping(7, 2))) is None
    assert limit_of(walk(jumping(10, 3))) == 3
    # What follows the last row is not there.
    assert limit_of(walk(jumping(9, 3))) is None
    assert limit_of(walk(np.full(30, 5.0))) is None
    assert limit_of(np.zeros((30, 1))) is None


def test_jumps_are_three_times_as_large_as_other_changes():
    assert limit_of(walk(jumping(50, 5, 3.1))) == 5
    assert limit_of(walk(jumping(50, 5, 2.9))) is None
    assert limit_of(walk(-jumping(50, 5, 3.1))) == 5


@pytest.mark.parametrize(("small", "found"), [(4, 5), (7, None)])
def test_three_quarters_of_the_places_have_to_jump(small, found):
    changes = jumping(102, 5)
    changes[4 : 5 * small : 5] = 1.0
    assert limit_of(walk(changes)) == found


def test_few_large_changes_elsewhere_are_no_limit():
    changes = jumping(1001, 10)
    changes[[211, 313, 417, 529, 601, 743, 857]] = 1000.0
    assert limit_of(walk(changes)) == 10
    changes[np.arange(3, 1000, 50)] = 1000.0
    assert limit_of(walk(changes)) is None


def test_a_limit_below_the_places_of_the_largest_jumps():
    changes = jumping(201, 5)
    changes[9::10] = 500.0
    assert limit_of(walk(changes)) == 5


def test_rows_count_from_the_last_known_end():
    lengths, late = [5, 2, 5, 3, 5, 4, 5, 5, 1, 5, 2], 5
    stops = np.cumsum(lengths) - 1
    changes = np.where(np.isin(np.arange(stops[-1]), stops), 80.0, 1.0)
    known = [stop for stop, length in zip(stops, lengths, strict=True) if length < late]
    assert limit_of(walk(changes), known) == late
    assert limit_of(walk(changes)) is None
    # Jumps at ends that are known prove nothing.
    assert limit_of(walk(changes), stops) is None


def test_features_count_in_their_own_units_and_padding_for_nothing():
    rng = np.random.default_rng(0)
    loud = 1e6 * np.cumsum(rng.choice([-1, 1], 60))
    seen = np.stack([loud, walk(jumping(60, 6))[:, 0]], 1)[:, None]
    assert seen.shape == (60, 1, 2) and limit_of(seen) == 6
    for value in (np.inf, -np.inf, np.nan):
        assert limit_of(np.concatenate([seen, np.full((60, 1, 2), value)], 1)) == 6
    whole = np.round(seen).astype(np.int64)
    assert limit_of(whole) == 6


def test_a_feature_that_hardly_ever_changes_counts_by_its_range():
    switch = np.repeat(np.arange(12) % 2, 5)
    assert limit_of(switch[:, None].astype(float)) == 5
    jitter = 1e-6 * (np.arange(300) % 3 == 1)
    jitter[131:] += 1
    assert limit_of(np.stack([jitter, walk(jumping(300, 7))[:, 0]], 1)) == 7


def test_pieces_and_the_largest_number_of_rows(monkeypatch):
    seen = walk(jumping(40, 4))
    for piece in (1, 3, 4, 39, 40):
        monkeypatch.setattr(time_limits, "_PIECE", piece)
        assert limit_of(seen) == 4
    monkeypatch.setattr(time_limits, "_SAMPLE", 10)
    assert limit_of(seen) == 4
    monkeypatch.setattr(time_limits, "_ROWS", 13)
    seen[13:] = np.nan
    asked = []
    find_time_limit(lambda a, b: asked.append(b) or seen[a:b], np.zeros(40, bool))
    assert max(asked) == 13
    assert limit_of(seen) == 4
