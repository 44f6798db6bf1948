"""What the spaces of Minari's datasets mean, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.minari_spaces import (
    box_bounds,
    entry_order,
    has_images,
    space_of,
    to_vectors,
    unreadable_spaces,
)
from omiga_torchrl.errors import DataError

BOX = {"type": "Box", "dtype": "float32", "shape": [2]}
IMAGE = {"type": "Box", "dtype": "uint8", "shape": [8, 8, 3]}
TEXT = {"type": "Text"}
SPACE = {"type": "Dict", "subspaces": {"a": BOX, "b": {"type": "Tuple", "subspaces": [{}, TEXT]}}}


def one_of(kind, sizes, **more):
    return {"type": kind, "n" if kind == "Discrete" else "nvec": sizes, **more}


def test_parts_of_a_tuple_come_by_number_and_entries_by_name():
    parts = [f"_index_{number}" for number in (0, 1, 2, 9, 10, 11, 100)]
    assert sorted(parts, key=entry_order) == sorted(set(parts), key=entry_order) == parts
    names = ["B", "_index_a", "a", "a_index_3", "z", "_index_0"]
    assert sorted(names, key=entry_order) == sorted(set(names), key=entry_order) == names


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        ("observations", SPACE),
        ("observations/a", BOX),
        ("observations/b/_index_0", {}),
        ("observations/b/_index_1", TEXT),
        ("observations/b/_index_2", {}),
        ("observations/b/a", {}),
        ("observations/a/a", {}),
        ("observations/c", {}),
        ("observations/_index_0", {}),
    ],
)
def test_the_space_of_a_field(leaf, expected):
    assert space_of(SPACE, leaf) == expected


def test_no_space_is_an_empty_one():
    for wrong in (None, "Box", [BOX]):
        assert space_of(wrong, "observations") == space_of(wrong, "observations/a") == {}


def test_spaces_that_are_no_vectors():
    assert unreadable_spaces({"type": "Tuple", "subspaces": [BOX, one_of("Discrete", 3), {}]}) == []
    for kind in ("Box", "Discrete", "MultiDiscrete", "MultiBinary"):
        assert unreadable_spaces({"type": kind}) == []
    assert unreadable_spaces(None) == unreadable_spaces("Text") == []
    two = {
        "type": "Dict",
        "subspaces": {"a": {"type": "Tuple", "subspaces": [BOX, TEXT]}, "b": BOX, "c": TEXT},
    }
    found = unreadable_spaces(two)
    assert [one.partition(" ")[0] for one in found] == ["observations/a/1", "observations/c"]
    assert all("'Text', expected Box, Discrete, MultiDiscrete or MultiBinary" in one for one in found)
    (found,) = unreadable_spaces({"type": "OneOf", "subspaces": [BOX]})
    assert found.startswith("observations are of the space 'OneOf'")


@pytest.mark.parametrize(
    ("space", "found"),
    [
        (IMAGE, True),
        ({**IMAGE, "shape": [8, 8]}, False),
        ({**IMAGE, "shape": [2, 8, 8, 3]}, False),
        ({**IMAGE, "dtype": "float32"}, False),
        ({"dtype": "uint8"}, False),
        ({"subspaces": {"a": BOX, "b": IMAGE}}, True),
        ({"subspaces": [IMAGE, BOX]}, True),
        ({"subspaces": [BOX, {"subspaces": [IMAGE]}]}, True),
        ({"subspaces": [BOX, {}]}, False),
        ({"subspaces": []}, False),
        (None, False),
        ([IMAGE], False),
    ],
)
def test_images(space, found):
    assert has_images(space) == found


def test_numbers_that_are_no_categories_are_vectors():
    values = np.arange(12).reshape(2, 2, 3)
    for space in (BOX, {}, {"type": "MultiBinary", "n": 6}):
        found = to_vectors(values, space, "here")
        assert found.dtype == np.float32 and found.tolist() == [list(range(6)), list(range(6, 12))]
    assert to_vectors(np.ones(3), BOX, "here").shape == (3, 1)
    assert to_vectors(np.ones(3), BOX, "here").dtype == np.float64


def test_categories_are_one_hot():
    found = to_vectors(np.array([2, 0, 1]), one_of("Discrete", 3), "here")
    assert found.dtype == np.float32 and found.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    several = one_of("MultiDiscrete", [2, 3])
    assert to_vectors(np.array([[1, 0], [0, 2]]), several, "here").tolist() == [
        [0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1],
    ]
    nested = one_of("MultiDiscrete", [[2], [3]], start=[[5], [-1]])
    assert to_vectors(np.array([[[6], [1]]]), nested, "here").tolist() == [[0, 1, 0, 0, 1]]
    assert to_vectors(np.array([1.0]), one_of("Discrete", 1, start=1), "here").tolist() == [[1]]


@pytest.mark.parametrize("wrong", [-1, 3, 0.5, 2.5])
def test_numbers_outside_of_the_categories(wrong):
    space = one_of("MultiDiscrete", [3, 4])
    values = np.array([[0, 3], [2, 0], [wrong, 1], [0, 4]])
    with pytest.raises(
        DataError, match=rf"here: \[{wrong}, 1.*\] in row 2 .* \[3, 4\] counted from \[0, 0\]"
    ):
        to_vectors(values, space, "here")


@pytest.mark.parametrize(
    "space",
    [
        one_of("Discrete", 0),
        one_of("Discrete", 2.0),
        one_of("MultiDiscrete", [2, 0]),
        one_of("MultiDiscrete", [2]),
        one_of("MultiDiscrete", [2, 2, 2]),
        {"type": "MultiDiscrete"},
    ],
)
def test_numbers_of_categories_that_cannot_be(space):
    rows = np.zeros((3, 2 if space["type"] == "MultiDiscrete" else 1))
    with pytest.raises(DataError, match=r"here: the space has . numbers of categories, the field . features"):
        to_vectors(rows, space, "here")


def test_too_many_categories():
    most = 2**16
    assert to_vectors(np.array([most - 1]), one_of("Discrete", most), "here").shape == (1, most)
    with pytest.raises(DataError, match=r"here: 65537 categories are too many .* at most 65536"):
        to_vectors(np.array([[0, 0]]), one_of("MultiDiscrete", [1, most]), "here")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ((-1.0, -2.0), (1.0, -2.0))),
        ({"low": [[-1], [-2]], "high": [[1], [2]]}, ((-1.0, -2.0), (1.0, 2.0))),
        ({"low": -1, "high": 1}, ((-1.0,), (1.0,))),
        ({"type": "Discrete"}, (None, None)),
        ({"low": None}, (None, None)),
        ({"low": [-1]}, (None, None)),
        ({"high": [1, np.inf]}, (None, None)),
        ({"low": [-1, np.nan]}, (None, None)),
        ({"high": [1, -2.5]}, (None, None)),
        ({"high": "one"}, (None, None)),
    ],
)
def test_bounds_of_a_box(changes, expected):
    assert box_bounds({"type": "Box", "low": [-1, -2], "high": [1, -2], **changes}) == expected


def test_a_box_without_bounds():
    assert box_bounds({"type": "Box", "low": [0.0]}) == box_bounds({}) == (None, None)
