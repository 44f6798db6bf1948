"""OMIGA's MuJoCo files: what is read is what the description of the layout says."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, omiga_mujoco_fields
from omiga_torchrl.data.layouts import omiga_mujoco as module
from omiga_torchrl.data.layouts.omiga_mujoco import OmigaMujocoLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes

from .helpers_hdf5 import assert_same, assert_survives_damage, h5py, read_all, transitions, write_h5

LAYOUT = OmigaMujocoLayout()


def make_arrays(lengths, *, agents=2, seed=0, same=True, dtype=np.float32):
    """The published fields: an episode of L steps has L + 1 rows, and d = 1 in the last one."""
    rng = np.random.default_rng(seed)
    rows = sum(lengths) + len(lengths)
    done = np.zeros((rows, 1), dtype)
    done[np.cumsum(np.array(lengths) + 1) - 1] = 1
    observation = rng.normal(size=(rows, agents, 4)).astype(dtype)
    return {
        "s": observation if same else rng.normal(size=(rows, agents, 3)).astype(dtype),
        "o": observation,
        "a": rng.normal(size=(rows, agents, 2)).astype(dtype) * 2,
        "r": rng.normal(size=(rows, 1)).astype(dtype),
        "d": done,
    }


def read_slowly(arrays):
    """Transitions by plain Python: from every row that is not the last of its episode to the next."""
    out, episode, plain = [], 0, {name: values.tolist() for name, values in arrays.items()}
    same = plain["s"] == plain["o"]
    for row, (done,) in enumerate(plain["d"]):
        if done:
            episode += row > 0 and not plain["d"][row - 1][0]
            continue
        one = {
            "episode": episode,
            "observation": plain["o"][row],
            "next_observation": plain["o"][row + 1],
            "action": plain["a"][row],
            "reward": plain["r"][row][0],
            "terminated": plain["d"][row + 1][0] == 1,
            "truncated": False,
        }
        if not same:
            one |= {"state": [*chain(*plain["s"][row])], "next_state": [*chain(*plain["s"][row + 1])]}
        out.append(one)
    return out


def test_by_hand(tmp_path):
    """Episodes of two steps and one: rows 0-2 and 3-4."""
    rows = np.arange(5, dtype=np.float32)
    o = np.stack([rows, rows + 10], 1)[..., None]
    path = write_h5(
        tmp_path / "a.hdf5",
        {"s": o, "o": o, "a": o * 100, "r": rows[:, None], "d": np.array([0, 0, 1, 0, 1])[:, None]},
    )
    episodes = read_all(LAYOUT, path)
    assert episodes.length.tolist() == [2, 1] and episodes.state is None
    assert episodes.observation[..., 0].tolist() == [[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]]
    assert episodes.action[..., 0].tolist() == [[0, 1000], [100, 1100], [300, 1300]]
    assert episodes.reward.tolist() == [0, 1, 3]
    assert episodes.terminated.tolist() == [False, True, True] and not episodes.truncated.any()
    reading = LAYOUT.read(path, ReadOptions())
    assert reading.actions == "raw" and reading.steps == 3  # rows - episodes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=8).filter(any),
    agents=st.integers(1, 3),
    same=st.booleans(),
    small=st.booleans(),
    chunks=st.sampled_from([{}, {"chunks": True}, {"compression": "gzip"}]),
)
def test_any_episode_structure(tmp_path, lengths, agents, same, small, chunks):
    arrays = make_arrays(lengths, agents=agents, same=same)
    path = write_h5(tmp_path / "a.hdf5", arrays, **chunks)
    with pytest.MonkeyPatch.context() as patch:
        if small:  # blocks of one episode, and pieces of one row
            patch.setattr(module, "BLOCK_BYTES", 1)
            patch.setattr(omiga_mujoco_fields, "PIECE_BYTES", 1)
        assert transitions(read_all(LAYOUT, path)) == read_slowly(arrays)


@pytest.mark.parametrize("change", [lambda s: s + 1, lambda s: s[..., :1], lambda s: s[:, 0]])
def test_state_of_its_own(tmp_path, change):
    arrays = make_arrays([3, 2])
    arrays["s"] = change(arrays["s"])
    state = read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays)).state
    np.testing.assert_array_equal(state, arrays["s"].reshape(7, -1))


def test_one_row_that_differs_makes_a_state(tmp_path):
    arrays = make_arrays([3, 400])
    arrays["s"] = arrays["s"].copy()
    arrays["s"][300, 1, 2] += 1
    assert read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays)).state is not None
    arrays["s"] = np.where(arrays["o"] == arrays["o"][0, 0, 0], -0.0, arrays["o"])
    arrays["o"] = arrays["s"] * 1.0
    arrays["o"][arrays["o"] == 0] = 0.0
    assert read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays)).state is None  # 0 is -0


def test_a_difference_that_was_not_seen_at_first_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(omiga_mujoco_fields, "_SAMPLE_PLACES", 2)
    arrays = make_arrays([999, 999])
    arrays["s"] = arrays["s"].copy()
    arrays["s"][1000, 0, 0] += 1
    with pytest.raises(DataError, match=r"'s' equals 'o' in many rows, but not in row 1000"):
        read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays))


def test_other_shapes_and_types(tmp_path):
    arrays = make_arrays([3, 1], dtype=np.float64)
    path = write_h5(tmp_path / "a.hdf5", arrays)
    expected = transitions(read_all(LAYOUT, path))
    flat = arrays | {"r": arrays["r"][:, 0], "d": arrays["d"][:, 0] == 1}
    assert transitions(read_all(LAYOUT, write_h5(tmp_path / "b.hdf5", flat))) == expected
    per_agent = arrays | {"r": np.stack([arrays["r"]] * 2, 1)}
    assert transitions(read_all(LAYOUT, write_h5(tmp_path / "c.hdf5", per_agent))) == expected


def test_time_outs_as_the_user_wants_them(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", make_arrays([3, 2, 3]))
    split = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=3)
    assert split.terminated.nonzero()[0].tolist() == [4]
    assert split.truncated.nonzero()[0].tolist() == [2, 7]
    assert read_all(LAYOUT, path, timeout_is_terminal=True).terminated.sum() == 3
    with pytest.raises(ValueError, match="max_steps="):
        LAYOUT.read(path, ReadOptions(timeout_is_terminal=False))


def test_rows_behind_the_last_end(tmp_path):
    arrays = make_arrays([2, 3])
    path = write_h5(tmp_path / "a.hdf5", {name: values[:-2] for name, values in arrays.items()})
    with pytest.raises(DataError, match=r"rows 3 to 4, has no end.*incomplete='truncated'"):
        LAYOUT.read(path, ReadOptions())
    episodes = read_all(LAYOUT, path, incomplete="truncated")
    assert episodes.length.tolist() == [2, 1]
    assert episodes.truncated.tolist() == [False, False, True]
    assert episodes.terminated.tolist() == [False, True, False]
    np.testing.assert_array_equal(episodes.observation, arrays["o"][:5])
    # One row is no step, and nothing is truncated.
    path = write_h5(tmp_path / "b.hdf5", {name: values[:-3] for name, values in arrays.items()})
    episodes = read_all(LAYOUT, path, incomplete="truncated")
    assert episodes.length.tolist() == [2] and episodes.terminated.tolist() == [False, True]


def test_a_file_of_single_rows_has_no_episode(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", make_arrays([0, 0]))
    reading = LAYOUT.read(path, ReadOptions())
    assert reading.steps == 0 and not list(reading.blocks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: [a.pop("s"), a.pop("d")], "'s' is missing; 'd' is missing"),
        (lambda a: a.update(a=a["a"].astype(int)), "'a' has type int64, expected floats"),
        (lambda a: a.update(o=np.full(7, b"x")), r"'o' has type \|S1 .*expected an array of numbers"),
        (lambda a: a.update(o=a["o"][:, 0]), r"'o' has shape \(7, 4\), expected 3 dimensions"),
        (lambda a: a.update(a=a["a"][:, :1], r=a["r"][:3]), r"'a' has shape \(7, 1, 2\).*'r' has shape \(3"),
        (lambda a: a.update(r=np.zeros((7, 3))), r"'r' has shape \(7, 3\), expected one reward"),
        (lambda a: a.update(d=np.zeros((7, 2))), r"'d' has shape \(7, 2\), expected one flag"),
        (lambda a: a.update(o=a["o"][..., :0]), r"'o' has shape \(7, 2, 0\)"),
        (lambda a: a["d"].__setitem__(1, 0.5), "'d' holds 0.5 in row 1; expected zeros and ones"),
        (lambda a: a["d"].__setitem__(1, np.nan), "'d' holds nan in row 1"),
        (lambda a: a.update({"o/x": a.pop("o")}), "'o' is no array"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path, change, message):
    arrays = make_arrays([3, 2])
    change(arrays)
    with pytest.raises(DataError, match=rf"a\.hdf5.*{message}"):
        LAYOUT.read(write_h5(tmp_path / "a.hdf5", arrays), ReadOptions())


def test_rewards_of_the_agents_differ(tmp_path):
    arrays = make_arrays([2]) | {"r": np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 0.0]])}
    path = write_h5(tmp_path / "a.hdf5", arrays)
    assert read_all(LAYOUT, path, team_reward="mean").reward.tolist() == [2, 2]
    with pytest.raises(DataError, match="team_reward="):
        list(LAYOUT.read(path, ReadOptions()).blocks)
    arrays = make_arrays([2]) | {"r": np.array([[np.nan], [2.0], [0.0]])}
    path = write_h5(tmp_path / "b.hdf5", arrays)
    assert np.isnan(read_all(LAYOUT, path).reward[0])  # the conversion says what is wrong with it


def test_files_that_are_not_of_this_layout(tmp_path):
    arrays = make_arrays([3])
    whole = write_h5(tmp_path / "a.hdf5", arrays)
    cut, text = tmp_path / "b.hdf5", tmp_path / "c.hdf5"
    cut.write_bytes(whole.read_bytes()[:-100])
    text.write_text("s o a r d")
    for path in (cut, text):
        with pytest.raises(DataError, match=f"{path.name} cannot be read"):
            LAYOUT.read(path, ReadOptions())
    assert LAYOUT.matches(whole)
    other = write_h5(tmp_path / "d.hdf5", {"obs": arrays["o"]})
    assert not any(map(LAYOUT.matches, (cut, text, other, tmp_path, tmp_path / "missing")))


def test_damaged_files_are_refused_or_sound(tmp_path):
    assert_survives_damage(LAYOUT, write_h5(tmp_path / "a.hdf5", make_arrays([3, 20, 5])))
    assert_survives_damage(LAYOUT, write_h5(tmp_path / "b.hdf5", make_arrays([3, 20]), compression="gzip"))


def test_converted_to_a_dataset(tmp_path):
    arrays = make_arrays([3, 1, 4])
    reading = LAYOUT.read(write_h5(tmp_path / "a.hdf5", arrays), ReadOptions())
    convert(reading, tmp_path / "out", ReadOptions(), name="toy")
    data, expected = load_ted(tmp_path / "out"), read_slowly(arrays)
    assert data["next", "agents", "observation"].tolist() == [x["next_observation"] for x in expected]
    assert data["agents", "action"].tolist() == [x["action"] for x in expected]  # beyond 1: they are raw
    assert data["episode"].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    assert data["next", "terminated"].flatten().nonzero().flatten().tolist() == [2, 3, 7]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6), agents=st.integers(1, 3))
def test_what_is_written_is_read_again(tmp_path, lengths, agents):
    path = tmp_path / "a.hdf5"
    path.unlink(missing_ok=True)
    episodes = make_episodes(lengths, n_agents=agents)
    episodes.truncated[:] = False
    episodes.terminated[np.cumsum(lengths) - 1] = True
    LAYOUT.write(path, [episodes.part(i, i + 1) for i in range(len(lengths))])
    assert_same(read_all(LAYOUT, path), episodes)
    with h5py.File(path) as file:
        rows = sum(lengths) + len(lengths)
        assert {name: file[name].shape for name in file} == {
            "s": (rows, agents, 5), "o": (rows, agents, 5), "a": (rows, agents, 2),
            "r": (rows, 1), "d": (rows, 1),
        }  # fmt: skip
        assert {file[name].dtype for name in file} == {np.dtype("f4")}
        np.testing.assert_array_equal(file["s"], file["o"])


def test_state_and_time_outs_are_written_as_far_as_the_layout_holds_them(tmp_path):
    episodes = make_episodes((3, 1, 4), stored_state=True)  # odd ones terminate, even ones do not
    LAYOUT.write(tmp_path / "a.hdf5", [episodes])
    again = read_all(LAYOUT, tmp_path / "a.hdf5")
    np.testing.assert_array_equal(again.state, episodes.state, strict=True)
    assert again.terminated.sum() == 3 and not again.truncated.any()
    split = make_episodes((4, 1, 4))
    LAYOUT.write(tmp_path / "b.hdf5", [split])
    assert_same(read_all(LAYOUT, tmp_path / "b.hdf5", timeout_is_terminal=False, max_steps=4), split)


def test_writing_never_leaves_half_a_file(tmp_path):
    path = tmp_path / "folder" / "a.hdf5"
    good = make_episodes()

    def broken():
        yield good
        raise RuntimeError("stop")

    other = make_episodes(n_agents=3)
    uneven = make_episodes(stored_state=True)
    uneven.state = uneven.state[:, :3]
    for blocks, message in (
        (broken(), "stop"),
        ([], "no episodes"),
        ([good, other], r"'s' changes from \(2, 5\) to \(3, 5\)"),
        ([make_episodes(masked=True)], "'action_mask' has no place in it; 'action' has type int64"),
        ([uneven], "'state' has 3 features, which 2 agents"),
    ):
        with pytest.raises((DataError, RuntimeError), match=message):
            LAYOUT.write(path, blocks)
        assert not list(path.parent.iterdir())
    LAYOUT.write(path, [good])
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="expected a new file"):
        LAYOUT.write(path, [good])
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
