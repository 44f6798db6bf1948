"""Delimiters and padding by hand: rows as texts, ``t`` terminated, ``l`` a time limit, ``0`` idle."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.delimiters import find_delimiters, find_padding_rows
from omiga_torchrl.errors import DataError


def marks(text, *kinds):
    return np.array([one in kinds for one in text])


def find(flags, idle="", *, told=None, continuous=True):
    """Delimiters of rows; ``idle`` has a ``0`` for every idle one."""
    idle = idle or "." * len(flags)
    assert len(idle) == len(flags)
    rows = find_delimiters(
        marks(flags, "t", "b"), marks(flags, "l", "b"), marks(idle, "0"), told, continuous, "here"
    )
    assert rows.dtype == bool and rows.shape == (len(flags),)
    return np.flatnonzero(rows).tolist()


def test_idle_rows_with_the_flag():
    assert find("..t..l", "..0..0") == [2, 5]
    assert find("..t..l", "..0...") == [2]
    assert find("..t..l") == []
    assert find("..t..l", "..0..0", told=False) == []
    # Without a row in the middle of an episode nothing can be compared.
    assert find("ttt", "000") == []
    assert find(".t.t", ".0.0") == [1, 3]


def test_idle_rows_behind_the_flag():
    assert find("..t..l.", "...0..0") == [3, 6]
    assert find("..t..l.", "......0") == []
    assert find("..t..l.", "...0...") == []
    with pytest.raises(DataError, match=r"here: 1 rows behind the flag .* Pass delimiter_rows=True"):
        find("..t.....l", "...0.....")
    # The second of two flags is the delimiter's.
    assert find("..tt..l...l.", "...0...0...0") == [3, 7, 11]
    # Some delimiters have a flag of their own, and some have none.
    assert find("..tt..l...l.", "...0...0...0") == [3, 7, 11]


def test_told_delimiters():
    assert find("..t..l", told=True) == [2, 5]
    assert find("..t...l.", "...0...0", told=True) == [3, 7]
    assert find("..t...l.", "...0....", told=True) == [3, 6]
    assert find("..tt..lt", "...0....", told=True) == [3, 6, 7]
    assert find("...", "000", told=True) == []


def test_without_a_flag_only_idle_rows_at_equal_distances():
    assert find("......", "..0..0") == [2, 5]
    assert find("....", ".0.0") == [1, 3]
    assert find("....", "0000") == []
    assert find("....", "...0") == []
    assert find("........", "..0..0..") == []
    assert find(".......", "..0...0") == []
    assert find("....") == []


def ends(inner, *, idle_inner=0, flags="tttttt", idle="000000"):
    """Episodes with so many rows in their middle, and as many ends as flags, of which some are idle."""
    rows = "." * inner + flags[0] + "".join(f".{one}" for one in flags[1:])
    idle = "0" * idle_inner + "." * (inner - idle_inner) + idle[0] + "".join(f".{one}" for one in idle[1:])
    return rows, idle


@pytest.mark.parametrize(("idle_inner", "fewest"), [(0, 9), (1, 19), (2, 29)])
def test_discrete_ends_are_delimiters_if_they_are_no_chance(idle_inner, fewest):
    # Of 6 ends, where (c + 1) / (r + 2) is the chance of an idle row: below 1 / 10 it is one of a million.
    found = np.arange(fewest, fewest + 12, 2).tolist()
    assert find(*ends(fewest, idle_inner=idle_inner), continuous=False) == found
    assert find(*ends(fewest - 1, idle_inner=idle_inner), continuous=False) == []


def test_continuous_steps_are_not_idle_by_chance_unless_some_are():
    assert find(*ends(1)) == [1, 3, 5, 7, 9, 11]
    assert find(*ends(18, idle_inner=1)) == []
    assert len(find(*ends(19, idle_inner=1))) == 6


def test_where_idle_steps_occur_only_all_or_no_terminations_are_delimiters():
    seven = {"idle_inner": 1, "flags": "ttttttt"}
    assert len(find(*ends(25, **seven, idle="0000000"))) == 7
    with pytest.raises(
        DataError, match="here: 6 rows with the flag of an end have neither action nor reward"
    ):
        find(*ends(25, **seven, idle="0.00000"))
    # Of a time-out both readings give the same steps.
    assert len(find(*ends(25, idle_inner=1, flags="lllllltl", idle="000000.."))) == 6
    assert len(find(*ends(25, flags="ttttttt", idle="0.00000"))) == 6


def test_few_idle_rows_behind_flags_may_be_chance():
    rows = "....t." * 6
    assert find(rows, ".....0" * 6, continuous=False) == list(range(5, 36, 6))
    assert find(rows[:12], ".....0" * 2, continuous=False) == []
    assert find(rows[:12], ".....0" * 2) == [5, 11]


def padding(flags, seen, *, idle=None):
    """Padding of rows; ``seen`` has a ``0`` where observations are zero, as has ``idle`` if not given."""
    empty, asked = marks(seen, "0"), []

    def is_empty(first, last):
        asked.append((first, last))
        return bool(empty[first:last].all())

    found = find_padding_rows(marks(flags, "t"), marks(idle or seen, "0"), is_empty)
    return np.flatnonzero(found).tolist(), asked


def test_zeros_at_the_end_of_a_file():
    assert padding("..t..", "...00") == ([3, 4], [(3, 5)])
    assert padding("..t.t.", ".....0")[0] == [5]
    assert padding("..t..", "....0", idle="...00") == ([], [(3, 5)])
    assert padding("..t..", "...0.") == ([], [])
    assert padding("..t..", "....0") == ([], [])
    assert padding("....t", "0...0") == ([], [])
    assert padding(".....", "00000") == ([], [])


def test_zeros_up_to_one_length():
    assert padding("..t..t..", "...0..00")[0] == [3, 6, 7]
    assert padding("..t..t..", "...00.00", idle="...0..00")[0] == [3, 6, 7]
    # A whole episode, and one of its own observations.
    assert padding("...t.t..", "......00")[0] == [6, 7]
    assert padding(".t...t.t", "..00..0.")[0] == []
    assert padding(".t...t..", "..00..00")[0] == [2, 3, 6, 7]
    assert padding(".t....t..", "..00...00")[0] == [7, 8]
    assert padding(".t...t..", "..0...00", idle="..00..00")[0] == [6, 7]
    assert padding(".t..", "..0.") == ([], [])


def test_idle_rows_of_another_episode_are_no_padding():
    assert padding(".t...t", "......", idle="..0...") == ([], [(2, 3)])
    assert padding("..t..t", "......", idle="...0..") == ([], [])
