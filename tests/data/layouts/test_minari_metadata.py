"""The description of Minari's datasets: what it may say, and what cannot be read."""

from __future__ import annotations

import json

import pytest

from omiga_torchrl.data.layouts.minari_metadata import check_spaces, read_metadata
from omiga_torchrl.errors import DataError

BOX = {"type": "Box", "low": [-1], "high": [1]}
IMAGE = {"type": "Box", "dtype": "uint8", "shape": [8, 8, 3]}


def write(folder, text):
    (folder / "data").mkdir()
    (folder / "data" / "metadata.json").write_text(text)
    return folder


def test_a_description_is_a_json_object(tmp_path):
    assert read_metadata(write(tmp_path, '{"total_steps": 3}')) == {"total_steps": 3}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "expected a JSON object, got list"),
        ('"{}"', "expected a JSON object, got str"),
        ("{", "Expecting"),
        ("[" * 100_000, "recursion"),
        (None, "No such file"),
    ],
)
def test_other_descriptions_are_refused(tmp_path, text, problem):
    if text is not None:
        write(tmp_path, text)
    with pytest.raises(DataError, match=f"OfflineDataset: .*cannot read data/metadata.json: .*{problem}"):
        read_metadata(tmp_path)


def check(tmp_path, **metadata):
    return check_spaces(metadata, tmp_path)


def test_spaces_of_actions_and_observations(tmp_path):
    nested = {"type": "Dict", "subspaces": {"a": BOX}}
    assert check(tmp_path, action_space=json.dumps(BOX), observation_space=json.dumps(nested)) == (
        BOX,
        nested,
    )
    discrete = {"type": "Discrete", "n": 3, "start": 0}
    assert check(tmp_path, action_space=discrete, data_format="hdf5") == (discrete, {})
    assert check(tmp_path) == ({}, {})
    assert check(tmp_path, observation_space=IMAGE)[1] == IMAGE
    assert check(tmp_path, observation_space=IMAGE, jpeg_encoding=False)[1] == IMAGE
    assert check(tmp_path, observation_space=BOX, jpeg_encoding=True)[1] == BOX


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"data_format": "arrow"}, "its data_format is 'arrow', expected 'hdf5'"),
        ({"action_space": "{"}, "cannot read the spaces in data/metadata.json"),
        ({"observation_space": "[]"}, "cannot read the spaces .* expected a JSON object, got list"),
        ({"action_space": 3}, "cannot read the spaces .* got int"),
        (
            {"action_space": {"type": "MultiDiscrete"}},
            "actions are of the space 'MultiDiscrete', expected",
        ),
        ({"action_space": {"type": "Discrete", "start": 1}}, "actions are counted from 1, expected from 0"),
        ({"action_space": {"type": "Discrete", "start": -1}}, "actions are counted from -1, expected from 0"),
        ({"observation_space": IMAGE, "jpeg_encoding": True}, "observations hold compressed images"),
        ({"observation_space": {"type": "Text"}}, "observations are of the space 'Text', expected Box"),
        (
            {"action_space": {"type": "Text"}, "observation_space": {"type": "Graph"}},
            "actions are of the space 'Text'.*; observations are of the space 'Graph'",
        ),
    ],
)
def test_spaces_that_cannot_be_read(tmp_path, metadata, problem):
    with pytest.raises(DataError, match=f"OfflineDataset: .*{problem}"):
        check(tmp_path, **metadata)
