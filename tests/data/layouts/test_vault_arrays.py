"""The arrays of a vault by hand: whether actions are discrete, how many there are, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import vault_arrays
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.vault_arrays import (
    OWN,
    array_problems,
    count_actions,
    is_discrete,
    own_groups,
    read_actions,
)
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_vault import in_memory

INDEX = np.array([[0, 2], [1, 1], [3, 0], [2, 2]], np.int32)
ONE_HOT = np.eye(5, dtype=np.float32)[INDEX]
LEGALS = np.ones((4, 2, 5), bool)


def vault(actions, *, legals=None, metadata=None, **arrays):
    found = {"observations": np.zeros((4, 2, 3), np.float32), "actions": actions, **arrays}
    if legals is not None:
        found["infos.legals"] = legals
    return in_memory(found, metadata)


def test_whole_numbers_are_discrete_and_floats_only_beside_legal_actions():
    for dtype in (np.int32, np.uint8, bool):
        assert is_discrete(vault(INDEX.astype(dtype)))
    assert not is_discrete(vault(INDEX.astype(np.float32))) and not is_discrete(vault(ONE_HOT))
    assert is_discrete(vault(INDEX.astype(np.float32), legals=LEGALS))
    assert is_discrete(vault(ONE_HOT, legals=LEGALS))
    assert is_discrete(vault(INDEX[..., None].astype(np.float32), legals=LEGALS))
    assert not is_discrete(vault(INDEX + 0.5, legals=LEGALS))
    assert not is_discrete(vault(ONE_HOT / 2, legals=LEGALS))
    assert not is_discrete(vault(INDEX.astype(np.float32), legals=LEGALS[..., :3]))
    assert is_discrete(vault(INDEX.astype(np.float32), legals=LEGALS[..., :4]))


def test_rows_of_zeros_are_delimiters_and_no_one_hot_vectors():
    rows = ONE_HOT.copy()
    rows[1] = 0
    assert is_discrete(vault(rows, legals=LEGALS))
    rows[2, 1] = 0  # one of two agents without an action
    assert not is_discrete(vault(rows, legals=LEGALS))


def test_what_the_first_actions_are_all_are(monkeypatch):
    monkeypatch.setattr(vault_arrays, "_FIRST_ROWS", 3)
    actions = INDEX.astype(np.float32)
    actions[3] = 0.5
    assert is_discrete(vault(actions, legals=LEGALS))
    actions[2] = 0.5
    assert not is_discrete(vault(actions, legals=LEGALS))


def test_the_number_of_actions():
    own = {OWN: {"n_actions": 9}}
    notes = EndNotes()
    assert count_actions(vault(INDEX, legals=LEGALS, metadata=own), notes, "here") == 5
    assert count_actions(vault(INDEX, metadata=own), notes, "here") == 9
    assert count_actions(vault(ONE_HOT, legals=LEGALS), notes, "here") == 5
    assert count_actions(vault(ONE_HOT, metadata=own), notes, "here") is None
    assert notes.notes == []


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_the_number_of_actions_that_the_data_show(monkeypatch, rows):
    monkeypatch.setattr(vault_arrays, "_FIRST_ROWS", rows)
    for actions in (INDEX, INDEX[..., None], INDEX[::-1]):
        for metadata in ({}, {OWN: "theirs"}, {OWN: {"n_actions": None}}, {OWN: {}}):
            notes = EndNotes()
            assert count_actions(vault(actions, metadata=metadata), notes, "here") == 4
            assert "which of the 4 actions are legal" in notes.notes[0] and "more than" in notes.notes[0]
    assert count_actions(vault(INDEX * 0), EndNotes(), "here") == 1
    notes = EndNotes()
    assert count_actions(vault(ONE_HOT.astype(np.int8)), notes, "here") == 5
    assert "which of the 5" in notes.notes[0] and "more than" not in notes.notes[0]
    with pytest.raises(DataError, match=r"here: actions are .* expected whole numbers from 0"):
        count_actions(vault(INDEX - 1), EndNotes(), "here")


def test_groups_of_our_own():
    sizes = {"agents": 2, "observation": 3, "action": 1, "discrete": False, "masked": False, "present": False}
    for metadata in ({}, {OWN: {}}, {OWN: ["groups"]}):
        assert own_groups(vault(INDEX, metadata=metadata), "here") is None
    found = own_groups(vault(INDEX, metadata={OWN: {"groups": {"cars": sizes}}}), "here")
    assert found.to_dict() == {"cars": sizes}
    with pytest.raises(DataError, match="here: cannot read its groups"):
        own_groups(vault(INDEX, metadata={OWN: {"groups": None}}), "here")


def test_arrays_that_fit():
    flat = dict.fromkeys(("rewards", "terminals", "truncations", "infos.agent_mask", "agent_mask"), (4, 2))
    shapes = {**flat, "infos.state": (4, 6)}
    for changes in ({}, {"infos.state": (4, 2, 6), "agent_mask": (4, 2, 1), "infos.agent_mask": (4, 2, 1)}):
        arrays = {name: np.zeros(shape) for name, shape in {**shapes, **changes}.items()}
        for actions in (INDEX, INDEX[..., None], ONE_HOT):
            assert list(array_problems(vault(actions, legals=LEGALS, **arrays))) == []
        assert list(array_problems(vault(np.ones((4, 2, 7), np.float32), **arrays))) == []
        assert list(array_problems(vault(ONE_HOT.astype(int), **arrays))) == []


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("rewards", (4,)),
        ("rewards", (4, 2, 1)),
        ("rewards", (4, 3)),
        ("terminals", (4, 1)),
        ("terminals", (4, 2, 1)),
        ("truncations", (4, 2, 1)),
        ("agent_mask", (4, 3)),
        ("infos.agent_mask", (4, 2, 1, 1)),
        ("infos.legals", (4, 2)),
        ("infos.legals", (4, 3, 5)),
        ("actions", (4, 3)),
        ("actions", (4, 2, 1, 1)),
    ],
)
def test_arrays_that_do_not_fit(name, shape):
    arrays = {"actions": np.zeros((4, 2, 2)), name: np.zeros(shape)}
    found = [one for one in array_problems(vault(**arrays)) if one.startswith(f"'{name}' has shape")]
    assert len(found) == 1 and f"{shape}, 'observations' has (4, 2, 3)" in found[0]


def test_observations_and_discrete_actions_that_do_not_fit():
    for shape in ((4, 2), (4, 2, 3, 1)):
        (found,) = array_problems(vault(INDEX, observations=np.zeros(shape)))
        assert found.startswith(f"'observations' has shape {shape}, expected")
    (found,) = array_problems(vault(ONE_HOT.astype(int), legals=LEGALS[..., :4]))
    assert "'actions' are discrete and of shape (4, 2, 5), expected (4, 2), or one-hot" in found


def test_actions_as_they_are_used():
    continuous = np.arange(16, dtype=np.float32).reshape(4, 2, 2)
    assert read_actions(continuous, None, "here").tolist() == continuous.tolist()
    assert read_actions(continuous[..., 0], None, "here").shape == (4, 2, 1)
    for actions in (INDEX, INDEX.astype(np.float32), ONE_HOT):
        found = read_actions(actions, LEGALS, "here")
        assert found.dtype == np.int64 and found.tolist() == INDEX.tolist()
    assert read_actions(INDEX, None, "here").tolist() == INDEX.tolist()
    assert read_actions(INDEX, LEGALS[..., :4], "here").max() == 3
    with pytest.raises(DataError, match=r"here: actions are .* from 0 to 2"):
        read_actions(INDEX, LEGALS[..., :3], "here")
