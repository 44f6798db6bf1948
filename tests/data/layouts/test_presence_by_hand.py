"""Agents that are gone or never there: a text for each, ``a`` acts and sees, ``s`` only sees, ``.`` neither.

Capital letters, and ``x`` for a row in which an agent neither acts nor sees, carry its end.
"""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import presence
from omiga_torchrl.data.layouts.presence import find_absent, given_mask, without_choice
from omiga_torchrl.errors import DataError


def absent(*agents, start=(0,), rows=None, unseen=0.0):
    """Where agents are absent: a text of zeros and ones for each."""
    table = np.array([list(one) for one in agents]).T
    seen = np.where(np.isin(table, list("aAsS"))[..., None], [0.0, -1.0], unseen)
    rows = rows or [len(table)]
    found = find_absent(
        np.isin(table, list("ASx")),
        np.isin(table, list("aA")),
        np.array(start),
        np.array(rows),
        lambda first, last: seen[first:last],
    )
    assert found.shape == table.shape and found.dtype == bool
    return ["".join(map(str, column)) for column in found.T.astype(int)]


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("aaaa", "0000"),
        ("aA..", "0011"),
        ("ax..", "0011"),  # the row of its end is its own
        ("A...", "0111"),
        ("aaaA", "0000"),
        ("a...", "0000"),  # without an end it may be idle
        ("aAs.", "0001"),  # it saw something yet
        ("aA.s", "0000"),
        ("aA.a", "0000"),
        ("aAx.", "0011"),
        ("....", "1111"),  # it was never there
        ("...x", "1111"),
        ("s...", "0000"),
        ("...a", "0000"),
    ],
)
def test_an_agent_beside_one_that_always_acts(agent, expected):
    for unseen in (0.0, np.inf, np.nan):
        assert absent("aaaa", agent, unseen=unseen) == ["0000", expected]


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_episodes_begin_anew(monkeypatch, piece):
    monkeypatch.setattr(presence, "_PIECE", piece)
    team = ["aaaaaaa", "aA.aaaa", "...aA..", "aaa...."]
    assert absent(*team, start=(0, 3), rows=[3, 4]) == ["0000000", "0010000", "1110011", "0001111"]
    assert absent(*team, start=(0, 2), rows=[2, 5])[1] == "0000000"


@pytest.mark.parametrize("piece", [1, 2, 3, 100])
def test_rows_between_episodes_are_nobodys(monkeypatch, piece):
    monkeypatch.setattr(presence, "_PIECE", piece)
    assert absent(".aa.aa.", ".A..a..", start=(1, 4), rows=[2, 2]) == ["0000000", "0010000"]
    assert absent("aaaaaaa", "a..s...", start=(1, 4), rows=[2, 3]) == ["0000000", "0110111"]


def test_somebody_always_takes_part():
    assert absent("aA..") == ["0000"] and absent("aA.", "Aa.") == ["000", "000"]
    assert absent("aA..", "aaA.") == ["0010", "0000"]
    assert absent("...", "...") == ["000", "000"]


def test_observations_are_read_only_where_actions_allow_it():
    acted = np.array([[1, 1], [1, 0], [1, 1]], bool)

    def read(first, last):
        raise AssertionError

    found = find_absent(~acted & False, acted, np.array([0]), np.array([3]), read)
    assert not found.any()
    with pytest.raises(AssertionError):
        find_absent(np.array([[0, 1], [0, 0], [0, 0]], bool), acted, np.array([0]), np.array([3]), read)


def test_stored_masks():
    for dtype in (bool, np.int8, np.float64):
        values = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype)
        expected = [[True, False, True], [True, True, True], [False, True, False]]
        for shape in ((3, 3), (3, 3, 1)):
            assert given_mask(values.reshape(shape), "here").tolist() == expected
    for wrong in (2, -1, 0.5):
        with pytest.raises(DataError, match="here: 'agent_mask' holds other values than zeros and ones"):
            given_mask(np.array([[1, wrong]]), "here")


def test_agents_without_a_choice():
    legal = np.zeros((3, 3, 2))
    legal[0, 1, 0], legal[1] = -1, 1
    assert without_choice(legal).tolist() == [[True, False, True], [False] * 3, [False] * 3]
