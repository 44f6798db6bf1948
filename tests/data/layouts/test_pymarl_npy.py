"""PyMARL's episodes in ``.npy`` files: read, written, and read again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.data import Episodes
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, padded_writing
from omiga_torchrl.data.layouts.padded import padded_to_episodes
from omiga_torchrl.data.layouts.pymarl_npy import PymarlNpyLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_files import fingerprint, make_padded, write_every_layout, write_npys
from tests.data.layouts.helpers_hdf5 import assert_same, assert_survives_damage, read_all, transitions

LAYOUT = PymarlNpyLayout()


def read_slowly(arrays):
    """Transitions by plain Python; observations have one row more than steps."""
    out, number = [], 0
    for e, filled in enumerate(arrays["filled"][..., 0].tolist()):
        ends = [t for t, end in enumerate(arrays["terminated"][e, :, 0]) if end and filled[t]]
        steps_only = len(filled) < len(arrays["obs"][e])
        length = ends[0] + 1 if ends else sum(filled) - (not steps_only)
        for t in range(length):
            last = t == length - 1
            after = t + 1 if steps_only or filled[t + 1] else t
            out.append(
                {
                    "episode": number,
                    "observation": arrays["obs"][e, t].tolist(),
                    "next_observation": arrays["obs"][e, after].tolist(),
                    "state": arrays["state"][e, t].tolist(),
                    "next_state": arrays["state"][e, after].tolist(),
                    "action": arrays["actions"][e, t, :, 0].tolist(),
                    "reward": float(arrays["reward"][e, t, 0]),
                    "terminated": last and bool(ends),
                    "truncated": last and not ends,
                }
            )
        number += length > 0
    return out


def test_by_hand(tmp_path):
    arrays = {
        "obs": np.array([[[[1.0]], [[2.0]], [[3.0]]], [[[4.0]], [[5.0]], [[6.0]]]]),
        "state": np.zeros((2, 3, 1)),
        "avail_actions": np.ones((2, 3, 1, 4), np.int32),
        "actions": np.array([[[[3]], [[2]]], [[[1]], [[0]]]]),
        "reward": np.array([[[0.5], [1.5]], [[2.5], [9.0]]]),
        "terminated": np.array([[[0], [0]], [[1], [0]]]),
        "filled": np.array([[[1], [1]], [[1], [0]]]),
    }
    episodes = read_all(LAYOUT, write_npys(tmp_path, arrays))
    assert episodes.length.tolist() == [2, 1]
    assert episodes.observation.ravel().tolist() == [1, 2, 3, 4, 5]
    assert episodes.action.ravel().tolist() == [3, 2, 1]
    assert episodes.reward.tolist() == [0.5, 1.5, 2.5]
    assert episodes.truncated.tolist() == [False, True, False]
    assert episodes.terminated.tolist() == [False, False, True]


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any),
    steps_only=st.booleans(),
    data=st.data(),
)
def test_any_episode_structure(tmp_path_factory, lengths, steps_only, data):
    ends = data.draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    arrays = make_padded(lengths, ends, steps_only=steps_only)
    path = write_npys(tmp_path_factory.mktemp("pymarl"), arrays)
    assert transitions(read_all(LAYOUT, path)) == read_slowly(arrays)


def test_fields_are_of_no_or_one_row_less(tmp_path):
    arrays = make_padded([3, 2], [True, False])
    for name in ("reward", "obs", "avail_actions"):
        rows = -1 if name != "reward" else -2
        path = write_npys(tmp_path / name, arrays | {name: arrays[name][:, :rows]})
        with pytest.raises(DataError, match=r"has shape \(2, \d"):
            LAYOUT.read(path, ReadOptions())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("avail_actions"), r"\['avail_actions'\] are missing"),
        (lambda a: a.pop("obs"), r"\['obs'\] are missing"),
        (lambda a: a.update(obs=a["obs"][..., 0]), r"'obs' has shape \(2, 4, 2\)"),
        (lambda a: a.update(state=a["state"][:1]), r"'state' has shape \(1, 4, 5\)"),
        (lambda a: a.update(state=a["state"].astype("U")), "expected numbers"),
        (lambda a: a.update(filled=a["filled"] * 2), "'filled' holds 2"),
        (lambda a: a.update(filled=a["filled"][:, ::-1]), "'filled' has gaps"),
        (lambda a: a.update(filled=np.zeros(2)), r"'filled' has shape \(2,\)"),
        (lambda a: a.update(actions=a["actions"] + 9), "actions.* are .* expected whole numbers"),
    ],
)
def test_bad_files_are_refused(tmp_path, change, message):
    arrays = make_padded([3, 2], [True, False])
    change(arrays)
    path = write_npys(tmp_path, arrays)
    with pytest.raises(DataError, match=message):
        list(LAYOUT.read(path, ReadOptions()).blocks)


def test_only_its_own_files_match(tmp_path):
    found = [name for name, path in write_every_layout(tmp_path).items() if LAYOUT.matches(path)]
    assert found == ["pymarl-npy"]


def test_damaged_files_are_refused_or_sound(tmp_path):
    path = write_npys(tmp_path / "a", make_padded([3, 9, 5], [True, False, False]))
    for name in ("obs", "filled", "actions"):
        assert_survives_damage(LAYOUT, path, file=path / f"{name}.npy", times=60)


def test_converted_to_a_dataset(tmp_path):
    arrays = make_padded([3, 1, 2], [True, False, False])
    reading = LAYOUT.read(write_npys(tmp_path / "a", arrays), ReadOptions())
    convert(reading, tmp_path / "out", ReadOptions(), name="toy")
    data, expected = load_ted(tmp_path / "out"), read_slowly(arrays)
    assert data["next", "agents", "observation"].tolist() == [one["next_observation"] for one in expected]
    assert data["agents", "action"].tolist() == [one["action"] for one in expected]
    assert data["next", "truncated"].flatten().tolist() == [one["truncated"] for one in expected]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    cut=st.integers(1, 7),
    agents=st.integers(1, 3),
)
def test_what_is_written_is_read_again(tmp_path_factory, lengths, cut, agents):
    episodes = make_episodes(lengths, n_agents=agents, masked=True, stored_state=True)
    parts = [episodes.part(i, min(i + cut, len(lengths))) for i in range(0, len(lengths), cut)]
    path = tmp_path_factory.mktemp("pymarl") / "new" / "a"
    LAYOUT.write(path, parts)
    assert_same(read_all(LAYOUT, path), episodes)


def test_written_files_are_pymarls(tmp_path, monkeypatch):
    monkeypatch.setattr(padded_writing, "BLOCK_BYTES", 100)  # the files are written in pieces, too
    episodes = make_episodes((3, 1, 4), masked=True, stored_state=True)
    LAYOUT.write(tmp_path / "a", [episodes])
    arrays = {file.stem: np.load(file) for file in (tmp_path / "a").iterdir()}
    shapes = {name: (values.shape, str(values.dtype)) for name, values in arrays.items()}
    assert shapes == {
        "actions": ((3, 5, 2, 1), "int64"),
        "avail_actions": ((3, 5, 2, 3), "int32"),
        "filled": ((3, 5, 1), "int64"),
        "obs": ((3, 5, 2, 5), "float32"),
        "reward": ((3, 5, 1), "float32"),
        "state": ((3, 5, 4), "float32"),
        "terminated": ((3, 5, 1), "uint8"),
    }
    # The last observation is filled. The second episode terminated, the others ran out of time.
    assert arrays["filled"][..., 0].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert arrays["terminated"][..., 0].tolist() == [[0] * 5, [1, 0, 0, 0, 0], [0] * 5]
    assert not arrays["obs"][1, 2:].any() and not arrays["reward"][0, 3:].any()
    assert_same(padded_to_episodes(arrays), episodes)


def test_what_the_fields_have_no_room_for(tmp_path):
    masked = make_episodes(masked=True)
    bare = Episodes(**{**masked.arrays(), "action_mask": None})
    LAYOUT.write(tmp_path / "a", [bare], n_actions=3)
    again = read_all(LAYOUT, tmp_path / "a")
    assert again.action_mask.all() and again.action_mask.shape == (11, 2, 3)
    np.testing.assert_array_equal(again.state, bare.observation.reshape(11, -1))
    np.testing.assert_array_equal(again.observation, bare.observation)


def test_writing_never_leaves_half_a_folder(tmp_path):
    path, good = tmp_path / "folder" / "a", make_episodes(masked=True)

    def broken():
        yield good
        raise RuntimeError("stop")

    for blocks, message in (
        (broken(), "stop"),
        ([], "nothing to write"),
        ([good, make_episodes(masked=True, n_agents=3)], "'actions' changes from .* expected one task"),
        ([make_episodes()], "actions are continuous"),
        ([Episodes(**{**good.arrays(), "action_mask": None})], "pass n_actions="),
    ):
        with pytest.raises((DataError, RuntimeError), match=message):
            LAYOUT.write(path, blocks)
        assert not list(path.parent.iterdir())
    LAYOUT.write(path, [good])
    before = fingerprint(path)
    with pytest.raises(FileExistsError, match="expected a new folder"):
        LAYOUT.write(path, [good])
    assert fingerprint(path) == before and len(list(path.parent.iterdir())) == 1
    assert path.stat().st_mode & 0o777 == 0o755
