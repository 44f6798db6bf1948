"""The fields of Minari's episodes: which there are, in which order, and of which sizes."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts.minari_fields import episode_names, find_shapes, open_episode
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import h5py, write_h5

STEPS = 3


def make(**changes):
    """An episode of three steps; ``None`` leaves a field out."""
    fields = {
        "observations": np.ones((STEPS + 1, 5)),
        "actions": np.ones((STEPS, 2)),
        "rewards": np.ones(STEPS),
        "terminations": np.zeros(STEPS, bool),
        "truncations": np.zeros(STEPS, bool),
    }
    return {f"episode_7/{name}": a for name, a in {**fields, **changes}.items() if a is not None}


@pytest.fixture
def opened(tmp_path):
    files = []

    def write(arrays):
        files.append(h5py.File(write_h5(tmp_path / f"{len(files)}.hdf5", arrays)))
        return files[-1]

    yield write
    for file in files:
        file.close()


def shapes_of(file, tmp_path):
    return find_shapes(file, "episode_7", tmp_path)


def refuse(file, shapes, tmp_path, message):
    with pytest.raises(DataError, match=message):
        open_episode(file, "episode_7", shapes, tmp_path)


def test_episodes_come_by_number(tmp_path):
    file = dict.fromkeys(["episode_10", "episode_9", "episode_0", "episode_x", "my_episode_3", "episode_4_"])
    names = ["episode_0", "episode_9", "episode_10"]
    assert episode_names(file, {"total_episodes": 3}, tmp_path) == names
    assert episode_names(file, {}, tmp_path) == names
    for wrong in (2, 4):
        with pytest.raises(DataError, match=f"holds 3 episodes, data/metadata.json says {wrong}"):
            episode_names(file, {"total_episodes": wrong}, tmp_path)
    for told in ({}, {"total_episodes": 0}):
        with pytest.raises(DataError, match="holds 0 episodes"):
            episode_names({"episode_x": None}, told, tmp_path)


def test_fields_and_their_shapes(tmp_path, opened):
    flat = {"rewards": (), "terminations": (), "truncations": ()}
    found = shapes_of(opened(make()), tmp_path)
    assert found == {"observations": (5,), "actions": (2,), **flat}
    nested = {
        "observations": None,
        "observations/b/_index_10": np.ones((4, 1)),
        "observations/b/_index_9": np.ones(4),
        "observations/a": np.ones((4, 2, 3)),
        "actions": np.ones(3, int),
    }
    found = shapes_of(opened(make(**nested)), tmp_path)
    observations = {"observations/a": (2, 3), "observations/b/_index_9": (), "observations/b/_index_10": (1,)}
    assert found == {**observations, "actions": (), **flat}
    assert list(found)[:4] == [*observations, "actions"]
    assert shapes_of(opened(make(observations=None, actions=None)), tmp_path)["observations"] == ()


def test_fields_of_an_episode(tmp_path, opened):
    file = opened(make())
    fields = open_episode(file, "episode_7", shapes_of(file, tmp_path), tmp_path)
    assert list(fields) == ["observations", "actions", "rewards", "terminations", "truncations"]
    assert fields["observations"].shape == (4, 5) and fields["rewards"].read().tolist() == [1, 1, 1]
    for dtype in (np.int8, np.uint16, np.float16):
        file = opened(make(actions=np.ones(STEPS, dtype)))
        assert open_episode(file, "episode_7", shapes_of(file, tmp_path), tmp_path)["actions"].dtype == dtype


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("observations", (3, 5), r"\(4, 5\)"),
        ("observations", (5, 5), r"\(4, 5\)"),
        ("observations", (4, 6), r"\(4, 5\)"),
        ("actions", (4, 2), r"\(3, 2\)"),
        ("actions", (3,), r"\(3, 2\)"),
        ("terminations", (2,), r"\(3,\)"),
        ("truncations", (3, 1), r"\(3,\)"),
        ("rewards", (3, 1), r"\(3,\)"),
        ("rewards", (), r"\(\)"),
    ],
)
def test_other_shapes_are_refused(tmp_path, opened, name, shape, expected):
    shapes = shapes_of(opened(make()), tmp_path)
    file = opened(make(**{name: np.ones(shape)}))
    told = str(shape).replace("(", r"\(").replace(")", r"\)")
    refuse(file, shapes, tmp_path, f"'episode_7/{name}' has shape {told}, expected {expected}")


def test_everything_is_told_at_once(tmp_path, opened):
    shapes = shapes_of(opened(make()), tmp_path)
    file = opened(make(rewards=None, actions=np.ones((2, 3))))
    refuse(file, shapes, tmp_path, r"'episode_7/rewards' is missing; 'episode_7/actions' has shape \(2, 3\)")
    file = opened(make(observations=np.ones((4, 0)), actions=np.ones((3, 0))))
    refuse(file, shapes_of(file, tmp_path), tmp_path, r"observations' has shape \(4, 0\).*actions' has shape")


@pytest.mark.parametrize("actions", [np.ones((3, 2), int), np.ones(3, bool), np.ones((3, 2), bool)])
def test_actions_are_floats_or_one_whole_number(tmp_path, opened, actions):
    file = opened(make(actions=actions))
    refuse(
        file, shapes_of(file, tmp_path), tmp_path, "'episode_7/actions' has type .* expected floats, or one"
    )
