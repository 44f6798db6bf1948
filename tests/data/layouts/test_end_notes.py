"""Notes about ends: rows that are dropped, sentences, foreign ends and episodes that were cut."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.end_notes import EndNotes


def flags(text):
    return np.array([one == "1" for one in text], bool)


def test_rows_are_added_up_by_what_they_are():
    notes = EndNotes()
    for what, rows in (("padding", 2), ("delimiter rows", 0), ("padding", np.int64(3)), ("others", 1)):
        notes.drop(what, rows)
    assert notes.dropped == {"padding": 5, "others": 1} and type(notes.dropped["padding"]) is int


def test_sentences_are_told_once_in_their_order():
    notes = EndNotes()
    for text in ("one", "two", "one"):
        notes.note(text)
    assert notes.notes == ["one", "two"] and EndNotes().notes == []


@pytest.mark.parametrize(
    ("ended", "goes_on", "expected"),
    [
        ("0101010", "0101010", "0101010"),
        ("0101010", "1111110", "0101010"),
        ("0101010", "0101000", "0101000"),
        ("0101010", "0100000", "0000000"),  # one is chance
        ("1111000", "1100000", "1100000"),  # half of them
        ("1111100", "1100000", "0000000"),  # fewer
        ("1111010", "1100000", "0000000"),
        ("1111001", "1100000", "1100000"),  # behind the last row nothing is known
        ("0100001", "0100001", "0000000"),
        ("0110001", "0110001", "0110000"),
        ("0000000", "1111111", "0000000"),
    ],
)
def test_ends_with_the_next_episodes_observation(ended, goes_on, expected):
    notes, before = EndNotes(), flags(ended)
    found = notes.foreign_ends(before, flags(goes_on))
    assert found.tolist() == flags(expected).tolist() and (before == flags(ended)).all()
    count = expected.count("1")
    assert len(notes.notes) == (count > 0) and (not count or f"after {count} ends" in notes.notes[0])


def test_episodes_that_were_cut():
    notes = EndNotes()
    assert notes.is_cut(2).tolist() == [False, False]
    notes.cut += [flags("01"), flags("1")]
    assert notes.is_cut(3).tolist() == [False, True, True]
    assert notes.is_cut(5).tolist() == [False, True, True, False, False]
    assert notes.is_cut(2).tolist() == [False, True] and notes.is_cut(2).dtype == bool
