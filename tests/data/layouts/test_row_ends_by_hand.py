"""Episodes of rows as texts: ``t`` terminated, ``l`` a time limit, ``0`` idle, ``e`` idle and unseen."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.row_ends import RowEnds, RowFacts, find_row_ends, terminated_episodes
from omiga_torchrl.errors import DataError

TRUNCATED = {"incomplete": "truncated"}


def marks(text, *kinds):
    return np.array([one in kinds for one in text], bool)


def find(flags, idle="", *, delimiter=None, limit=None, **options):
    """Episodes as (first row, rows, delimited, terminated, cut), what was dropped, and what was asked.

    Args:
        flags: of rows.
        idle: of rows; none by default.
        delimiter: rows that are known to be delimiters, as ``d``.
        limit: that observations show.
        **options: of reading.
    """
    idle, asked, notes = idle or "." * len(flags), [], EndNotes()
    facts = RowFacts(
        marks(flags, "t"),
        marks(flags, "l"),
        marks(idle, "0", "e"),
        lambda first, last: bool(marks(idle, "e")[first:last].all()),
        lambda ended: asked.append(np.flatnonzero(ended).tolist()) or limit,
        continuous=True,
        delimiter=None if delimiter is None else marks(delimiter, "d"),
    )
    ends = find_row_ends(facts, ReadOptions(**options), notes, "here")
    values = (ends.start, ends.rows, ends.delimited, ends.terminated, ends.cut)
    return list(zip(*(one.tolist() for one in values), strict=True)), notes, asked


def episodes(*args, **options):
    return find(*args, **options)[0]


def test_every_flag_is_an_end():
    assert episodes("..t.lt") == [
        (0, 3, False, True, False),
        (3, 2, False, False, False),
        (5, 1, False, True, False),
    ]
    assert episodes("", **TRUNCATED) == []


@pytest.mark.parametrize(
    ("flags", "idle", "terminated"),
    [
        ("..t..t", "..0..0", True),
        ("..l..l", "..0..0", False),
        (".t..t.", "..0..0", True),
        (".tt.tt", "..0..0", True),
        (".tl.tl", "..0..0", True),
        (".lt.lt", "..0..0", False),  # the flag of the step counts
    ],
)
def test_delimiters_are_rows_of_their_episode(flags, idle, terminated):
    found, notes, _ = find(flags, idle)
    assert found == [(0, 3, True, terminated, False), (3, 3, True, terminated, False)]
    assert notes.dropped == {"delimiter rows": 2}


def test_delimiters_that_are_known_are_not_looked_for():
    assert episodes("..l..l", delimiter="..d..d") == [(0, 3, True, False, False), (3, 3, True, False, False)]
    assert episodes("..t..l", "..0..0", delimiter=".....d") == [
        (0, 3, False, True, False),
        (3, 3, True, False, False),
    ]
    assert episodes("..t..t", delimiter_rows=True) == [(0, 3, True, True, False), (3, 3, True, True, False)]
    assert not episodes("..t..t", "..0..0", delimiter_rows=False)[0][2]


def test_delimiters_without_a_step_are_dropped():
    found, notes, _ = find("l..lll.l", delimiter="d..ddd.d")
    assert found == [(1, 3, True, False, False), (6, 2, True, False, False)]
    assert notes.dropped == {"delimiter rows without an episode": 3, "delimiter rows": 2}


def test_padding_is_no_row_of_an_episode():
    found, notes, _ = find("..t..t..", "...e..ee")
    assert found == [(0, 3, False, True, False), (4, 2, False, True, False)]
    assert notes.dropped == {"rows of zeros behind the ends of episodes": 3}
    found, notes, _ = find("..l..l..", "...e..ee", delimiter="..d..d..")
    assert found == [(0, 3, True, False, False), (4, 2, True, False, False)]
    assert notes.dropped == {"rows of zeros behind the ends of episodes": 3, "delimiter rows": 2}


def test_a_last_episode_without_an_end():
    assert episodes("..l..", **TRUNCATED) == [(0, 3, False, False, False), (3, 2, False, False, True)]
    assert episodes("...", **TRUNCATED) == [(0, 3, False, False, True)]
    with pytest.raises(DataError, match=r"here: the last episode, rows 3 to 4, has no end.*'truncated'"):
        episodes("..l..")
    with pytest.raises(DataError, match="here: the last episode, rows 1 to 5, has no end"):
        episodes("l.....", delimiter="d.....", max_steps=7)


def test_a_limit_that_is_told():
    two = [(0, 3, False, False, False), (3, 3, False, False, False)]
    for flags in ("......", "......"):
        found, notes, asked = find(flags, max_steps=3)
        assert found == two and not asked and not notes.notes
    assert episodes("....t..", max_steps=2, **TRUNCATED) == [
        (0, 2, False, False, False),
        (2, 2, False, False, False),
        (4, 1, False, True, False),
        (5, 2, False, False, False),
    ]
    # Where time-outs are marked it is none of an end.
    assert episodes("....l", max_steps=2) == [(0, 5, False, False, False)]


def test_a_row_more_than_the_limit_is_another_way_of_counting():
    assert [one[1] for one in episodes("...t...t", max_steps=3)] == [4, 4]
    assert [one[1] for one in episodes("..t..t", max_steps=3)] == [3, 3]
    assert [one[1] for one in episodes("....t...t", max_steps=3)] == [3, 2, 4]


def test_a_limit_and_delimiters():
    rows = ("....t....t", "....0....0")
    assert [one[1] for one in episodes(*rows, max_steps=4)] == [5, 5]
    # Neither a delimiter nor the step before it is an end of its own.
    assert [one[:3] for one in episodes(*rows, max_steps=2)] == [
        (0, 2, False), (2, 3, True), (5, 2, False), (7, 3, True),
    ]  # fmt: skip
    assert [one[:3] for one in episodes(*rows, max_steps=1)][2:4] == [(2, 1, False), (3, 2, True)]


def test_a_limit_that_observations_show():
    found, notes, asked = find("......", limit=2)
    assert [one[1] for one in found] == [2, 2, 2] and not any(one[4] for one in found) and asked == [[]]
    assert "begin anew after every 2 steps" in notes.notes[0] and "max_steps=" in notes.notes[0]
    found, notes, asked = find("..t.....t", limit=3)
    assert [one[1] for one in found] == [3, 3, 3] and asked == [[2, 8]]


def test_it_is_looked_for_only_where_episodes_may_be_glued():
    for flags in ("..t....t", ".t.t", "..t"):  # less than twice as long as another one
        found, notes, asked = find(flags, limit=2)
        assert asked == [] and notes.notes == [] and all(one[3] for one in found)
    # Nor where rows are no steps.
    assert find("..t.......t", "..0.......0", limit=3)[2] == [[2, 10]]
    assert find("..t......t..", "..........ee", limit=3)[2] == []


def test_without_any_sign_of_an_end():
    with pytest.raises(DataError, match=r"here: no row of 5 marks the end .* Pass max_steps=.*'truncated'"):
        episodes(".....")
    found, notes, asked = find(".....", **TRUNCATED)
    assert found == [(0, 5, False, False, True)] and asked == [[]] and notes.notes == []


ENDS = RowEnds(
    start=np.array([2, 5, 9]),
    rows=np.array([3, 2, 1]),
    delimited=np.array([True, True, False]),
    terminated=np.array([True, False, False]),
    cut=np.array([False, False, True]),
)


def test_parts_of_episodes():
    part = ENDS.part(1, 3)
    assert (
        part.start.tolist() == [5, 9] and part.rows.tolist() == [2, 1] and part.cut.tolist() == [False, True]
    )
    assert ENDS.steps.tolist() == [2, 1, 1] and part.steps.tolist() == [1, 1]


def test_rows_between_episodes_are_not_taken():
    arrays = {"x": np.arange(2, 10)}
    assert ENDS.take(arrays)["x"].tolist() == [2, 3, 4, 5, 6, 9]
    first = {"x": np.arange(2, 7)}
    assert ENDS.part(0, 2).take(first) is first and ENDS.part(2, 3).take(first) is first


def test_a_delimiters_action_is_the_one_before():
    actions = np.arange(12).reshape(6, 2)
    found = ENDS.without_delimiters(actions)
    assert found[:, 0].tolist() == [0, 2, 2, 6, 6, 10] and actions[2, 0] == 4
    last = ENDS.part(2, 3)
    assert last.without_delimiters(actions) is actions


def test_terminations_as_the_user_wants_them():
    def terminated(ends=ENDS, **options):
        return terminated_episodes(ends, ReadOptions(**options)).tolist()

    assert terminated() == [True, False, False]
    assert terminated(timeout_is_terminal=True) == [True, True, False]  # nothing ended where it was cut
    assert terminated(timeout_is_terminal=False) == [True, False, False]
    assert terminated(timeout_is_terminal=False, max_steps=2) == [False, False, False]
    assert terminated(timeout_is_terminal=False, max_steps=3) == [True, False, False]
    assert terminated(max_steps=2) == [True, False, False]
    first = ENDS.part(0, 1)
    with pytest.raises(ValueError, match="pass max_steps="):
        terminated(first, timeout_is_terminal=False)
    assert terminated(first, timeout_is_terminal=False, max_steps=2) == [False]
