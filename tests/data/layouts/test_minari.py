"""Minari's folders, those that the package itself writes and those written by hand."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.cards import read_card
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts import minari as module
from omiga_torchrl.data.layouts.minari import MinariLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import assert_same, assert_survives_damage, h5py, read_all, transitions, write_h5

LAYOUT = MinariLayout()

BOX = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, 1.0]}
DISCRETE = {"type": "Discrete", "dtype": "int64", "start": 0, "n": 3}


def make_arrays(lengths, *, discrete=False, nested=False, terminates=True, seed=0):
    """The published fields: one group per episode, one observation more than steps."""
    rng, arrays = np.random.default_rng(seed), {}
    for number, steps in enumerate(lengths):
        flags = np.arange(steps) == steps - 1
        observations = {"observations": rng.normal(size=(steps + 1, 3)).astype(np.float32)}
        if nested:
            observations = {
                "observations/goal": rng.normal(size=(steps + 1, 2)),
                "observations/b/y": rng.normal(size=(steps + 1,)),
                "observations/b/x": rng.normal(size=(steps + 1, 2, 2)).astype(np.float32),
                "observations/count": rng.integers(5, size=steps + 1),
            }
        episode = {
            **observations,
            "actions": rng.integers(3, size=steps) if discrete
            else rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            "rewards": rng.normal(size=steps),
            "terminations": flags & terminates,
            "truncations": flags & (not terminates),
            "infos/qpos": rng.normal(size=(steps + 1, 4)),
        }  # fmt: skip
        arrays |= {f"episode_{number}/{name}": values for name, values in episode.items()}
    return arrays


def write_minari(folder, arrays, **changes):
    """A dataset's folder, written by plain h5py."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    groups = {name.split("/")[0] for name in arrays}
    discrete = any(name.endswith("actions") and values.dtype.kind == "i" for name, values in arrays.items())
    metadata = {
        "total_episodes": len(groups),
        "total_steps": sum(np.size(values) for name, values in arrays.items() if name.endswith("rewards")),
        "data_format": "hdf5",
        "jpeg_encoding": True,
        "observation_space": json.dumps(BOX),
        "action_space": json.dumps(DISCRETE if discrete else BOX),
        "dataset_id": "toy/hand-v0",
    }
    (folder / "data" / "metadata.json").write_text(json.dumps(metadata | changes))
    write_h5(folder / "data" / "main_data.hdf5", arrays)
    return folder


def read_slowly(arrays):
    out = []
    for number in range(len({name.split("/")[0] for name in arrays})):
        at = f"episode_{number}/"
        parts = [np.asarray(arrays[name], float) for name in sorted(arrays) if name.startswith(at + "obs")]
        rows = range(len(parts[0]))
        observation = [[x for part in parts for x in np.ravel(part[row]).tolist()] for row in rows]
        for step in range(len(arrays[at + "rewards"])):
            out.append(
                {
                    "episode": number,
                    "observation": [observation[step]],
                    "next_observation": [observation[step + 1]],
                    "action": [arrays[at + "actions"][step].tolist()],
                    "reward": float(arrays[at + "rewards"][step]),
                    "terminated": bool(arrays[at + "terminations"][step]),
                    "truncated": bool(arrays[at + "truncations"][step]),
                }
            )
    return out


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=12),  # episode_10 comes after episode_9
    discrete=st.booleans(),
    nested=st.booleans(),
    terminates=st.booleans(),
    small=st.booleans(),
)
def test_any_episode_structure(tmp_path, lengths, discrete, nested, terminates, small):
    arrays = make_arrays(lengths, discrete=discrete, nested=nested, terminates=terminates)
    path = write_minari(tmp_path, arrays)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(module, "BLOCK_BYTES", 1)
        reading = LAYOUT.read(path, ReadOptions())
        assert len(list(reading.blocks)) == (len(lengths) if small else 1)
        episodes = read_all(LAYOUT, path)
    assert transitions(episodes) == read_slowly(arrays)
    assert reading.steps == sum(lengths) and reading.n_actions == (3 if discrete else None)
    assert episodes.action.dtype == (np.int64 if discrete else np.float32)


def test_by_hand(tmp_path):
    """Sorted keys, nested ones in their place: a, b/x, b/y."""
    arrays = {
        "episode_0/observations/b/y": np.array([5.0, 6.0]),
        "episode_0/observations/b/x": np.array([[3, 4], [30, 40]]),
        "episode_0/observations/a": np.array([[1.0], [10.0]], np.float32),
        "episode_0/actions": np.array([2]),
        "episode_0/rewards": np.array([7.0]),
        "episode_0/terminations": np.array([False]),
        "episode_0/truncations": np.array([True]),
    }
    episodes = read_all(LAYOUT, write_minari(tmp_path, arrays))
    assert episodes.observation.tolist() == [[[1, 3, 4, 5]], [[10, 30, 40, 6]]]
    assert episodes.action.tolist() == [[2]] and episodes.reward.tolist() == [7]
    assert episodes.truncated.tolist() == [True] and episodes.terminated.tolist() == [False]


@pytest.mark.parametrize("kind", ["discrete", "continuous", "nested"])
def test_what_minari_itself_writes(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    minari = pytest.importorskip("minari")
    spaces = pytest.importorskip("gymnasium").spaces
    from minari.data_collector import EpisodeBuffer

    lengths = [3, 1, 5]
    arrays = make_arrays(lengths, discrete=kind == "discrete")
    buffers = []
    for number in range(len(lengths)):
        one = {
            name: arrays[f"episode_{number}/{name}"]
            for name in ("observations", "actions", "rewards", "terminations", "truncations")
        }
        if kind == "nested":
            whole = one["observations"]
            one["observations"] = {"z": whole[:, 1:], "inner": {"b": whole[:, 0]}}
        buffers.append(EpisodeBuffer(id=number, **one, infos={}))
    box = {size: spaces.Box(-9, 9, size) for size in ((), (2,), (3,))}
    nested = spaces.Dict({"z": box[2,], "inner": spaces.Dict({"b": box[()]})})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about authors, links and the like
        minari.create_dataset_from_buffers(
            "toy/some-v0",
            buffers,
            observation_space=nested if kind == "nested" else box[3,],
            action_space=spaces.Discrete(3) if kind == "discrete" else box[2,],
            data_format="hdf5",
        )
    path = tmp_path / "toy" / "some-v0"
    assert LAYOUT.matches(path)
    assert transitions(read_all(LAYOUT, path)) == read_slowly(arrays)
    convert(LAYOUT.read(path, ReadOptions()), tmp_path / "out", ReadOptions(actions="raw"), name="toy")
    data = load_ted(tmp_path / "out")
    whole = np.concatenate([arrays[f"episode_{number}/observations"][1:] for number in range(3)])
    np.testing.assert_array_equal(data["next", "state"], whole)
    assert float(data["agents", "observation"].abs().sum()) > 0


def test_an_episode_without_an_end(tmp_path):
    arrays = make_arrays([3, 2])
    arrays["episode_1/terminations"][:] = False
    path = write_minari(tmp_path, arrays)
    with pytest.raises(DataError, match=r"episode_1 has no end.*incomplete='truncated'"):
        list(LAYOUT.read(path, ReadOptions()).blocks)
    episodes = read_all(LAYOUT, path, incomplete="truncated")
    assert episodes.length.tolist() == [3, 2]
    assert episodes.truncated.tolist() == [False, False, False, False, True]


def test_time_outs_as_the_user_wants_them(tmp_path):
    path = write_minari(tmp_path, make_arrays([3, 2], terminates=False))
    assert read_all(LAYOUT, path, timeout_is_terminal=True).terminated.sum() == 2
    path = write_minari(tmp_path, make_arrays([3, 2]))
    split = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=3)
    assert split.truncated.nonzero()[0].tolist() == [2] and split.terminated.nonzero()[0].tolist() == [4]


def test_episodes_without_a_step_are_left_out(tmp_path):
    arrays = make_arrays([2, 0, 1])
    reading = LAYOUT.read(write_minari(tmp_path, arrays), ReadOptions())
    assert [block.length.tolist() for block in reading.blocks] == [[2, 1]]


def test_steps_that_cannot_be_are_not_believed(tmp_path):
    for steps in (10**15, -1, "many", None):
        path = write_minari(tmp_path, make_arrays([2]), total_steps=steps)
        assert LAYOUT.read(path, ReadOptions()).steps is None
    expected = read_all(LAYOUT, path)
    (path / "data" / "metadata.json").write_text("{}")  # all that it says can be done without
    assert_same(read_all(LAYOUT, path), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episode_0/rewards": None, "episode_0/observations": None},
         "'episode_0/observations' is missing; 'episode_0/rewards' is missing"),
        ({"episode_1/observations": np.zeros((2, 3)), "episode_1/actions": np.zeros((2, 5))},
         r"'episode_1/observations' has shape \(2, 3\), expected \(3, 3\); 'episode_1/actions' has"),
        ({"episode_1/truncations": np.zeros(5, bool)}, r"'episode_1/truncations' has shape"),
        ({"episode_0/actions": np.zeros((3, 2), int)}, "'episode_0/actions' has type int64"),
        ({"episode_0/observations": np.full((4, 3), b"x")}, "'episode_0/observations' has type"),
        ({"episode_0/observations": np.zeros((4, 0))}, r"has shape \(4, 0\)"),
        ({"episode_0/rewards": 1.0}, r"'episode_0/rewards' has shape \(\)"),
        ({"episode_1/actions": np.zeros(2, int)}, r"'episode_1/actions' has shape \(2,\)"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path, changes, message):
    arrays = {k: v for k, v in (make_arrays([3, 2]) | changes).items() if v is not None}
    with pytest.raises(DataError, match=rf"main_data\.hdf5.*{message}"):
        list(LAYOUT.read(write_minari(tmp_path, arrays, total_episodes=2), ReadOptions()).blocks)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_format": "arrow"}, "data_format is 'arrow', expected 'hdf5'. Load it with minari"),
        ({"total_episodes": 3}, "holds 2 episodes, data/metadata.json says 3"),
        ({"action_space": json.dumps({"type": "MultiDiscrete"})}, "of the space 'MultiDiscrete'"),
        ({"action_space": json.dumps(DISCRETE | {"start": 1})}, "counted from 1, expected from 0"),
        ({"action_space": "{"}, "cannot read the spaces"),
        ({"observation_space": "3"}, "cannot read the spaces .*expected a JSON object, got int"),
        ({"observation_space": {"subspaces": {"i": {"dtype": "uint8", "shape": [4, 4, 3]}}}}, "images"),
        ({"observation_space": {"subspaces": [{"dtype": "uint8", "shape": [4, 4, 3]}]}}, "images"),
    ],
)
def test_bad_descriptions_are_refused(tmp_path, changes, message):
    path = write_minari(tmp_path, make_arrays([3, 2]), **changes)
    with pytest.raises(DataError, match=message):
        LAYOUT.read(path, ReadOptions())


def test_an_episode_that_is_an_array(tmp_path):
    arrays = {k: v for k, v in make_arrays([3, 2]).items() if "episode_0" not in k}
    path = write_minari(tmp_path, arrays | {"episode_0": np.zeros(3)})
    with pytest.raises(DataError, match="'episode_0/observations' is missing"):
        LAYOUT.read(path, ReadOptions())


def test_actions_that_do_not_exist_are_refused(tmp_path):
    for wrong, space in ((3, DISCRETE), (-1, DISCRETE), (-1, {})):
        arrays = make_arrays([3, 2], discrete=True)
        arrays["episode_1/actions"][1] = wrong
        path = write_minari(tmp_path, arrays, action_space=space)
        with pytest.raises(DataError, match=rf"episode_1: actions are \[{wrong}\] .* step 1;"):
            list(LAYOUT.read(path, ReadOptions()).blocks)


def test_actions_change_their_type(tmp_path):
    arrays = make_arrays([3, 2], discrete=True)
    arrays["episode_1/actions"] = arrays["episode_1/actions"].astype(float)
    with pytest.raises(DataError, match=r"episode_1: 'actions' are float64, int64 before"):
        list(LAYOUT.read(write_minari(tmp_path, arrays), ReadOptions()).blocks)


def test_folders_that_are_not_of_this_layout(tmp_path):
    whole = write_minari(tmp_path / "a", make_arrays([3]))
    arrow, none, other = tmp_path / "b", tmp_path / "c", tmp_path / "d"
    for folder in (arrow, none, other):
        (folder / "data").mkdir(parents=True)
    (arrow / "data" / "metadata.json").write_text('{"data_format": "arrow"}')
    (other / "data" / "metadata.json").write_text("[" * 100_000)
    assert LAYOUT.matches(whole) and LAYOUT.matches(arrow)
    file = whole / "data" / "main_data.hdf5"
    assert not any(map(LAYOUT.matches, (none, other, file, tmp_path / "missing")))
    for folder in (none, other):
        with pytest.raises(DataError, match=r"cannot read data/metadata\.json"):
            LAYOUT.read(folder, ReadOptions())
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"main_data\.hdf5 cannot be read"):
        LAYOUT.read(whole, ReadOptions())
    file.unlink()
    with pytest.raises(DataError, match=r"main_data\.hdf5 cannot be read"):
        LAYOUT.read(whole, ReadOptions())


def test_damaged_files_are_refused_or_sound(tmp_path):
    path = write_minari(tmp_path, make_arrays([3, 20, 5], nested=True))
    assert_survives_damage(LAYOUT, path, file=path / "data" / "main_data.hdf5")
    assert_survives_damage(LAYOUT, path, file=path / "data" / "metadata.json")
    with h5py.File(path / "data" / "main_data.hdf5") as file:  # whole again
        assert len(file) == 3


def test_numbers_of_categories_are_one_hot_and_parts_come_by_number(tmp_path):
    """As Gymnasium flattens: a tuple of eleven boxes, a cell counted from 100, and two numbers at once."""
    steps = np.arange(3)
    arrays = {f"episode_0/observations/_index_{i}": np.full((3, 1), float(i)) for i in range(11)}
    arrays["episode_0/observations/_index_11"] = 100 + steps
    arrays["episode_0/observations/_index_12"] = np.stack([steps % 2, steps], 1)
    arrays |= {
        "episode_0/actions": np.zeros((2, 2), np.float32),
        "episode_0/rewards": np.zeros(2),
        "episode_0/terminations": np.array([False, True]),
        "episode_0/truncations": np.zeros(2, bool),
    }
    box = {"type": "Box", "dtype": "float32", "shape": [1], "low": [-1.0], "high": [11.0]}
    cell, both = {"type": "Discrete", "n": 3, "start": 100}, {"type": "MultiDiscrete", "nvec": [2, 3]}
    space = {"type": "Tuple", "subspaces": [box] * 11 + [cell, both]}
    write_minari(tmp_path, arrays, observation_space=json.dumps(space))
    episodes = read_all(LAYOUT, tmp_path)
    last = [[1, 0, 0, 1, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0, 1, 0], [0, 0, 1, 1, 0, 0, 0, 1]]
    assert episodes.observation[:, 0].tolist() == [[*range(11), *row] for row in last]
    arrays["episode_0/observations/_index_11"][2] = 103
    other = write_minari(tmp_path / "b", arrays, observation_space=json.dumps(space))
    with pytest.raises(DataError, match=r"_index_11: \[103\] in row 2 is in none of the categories"):
        read_all(LAYOUT, other)


def test_bounds_are_those_of_the_action_space(tmp_path):
    box = {"type": "Box", "dtype": "float32", "shape": [2], "low": [-2.0, -0.4], "high": [2.0, 0.4]}
    arrays = make_arrays([2])
    arrays["episode_0/actions"] *= [2.0, 0.4]
    path = write_minari(tmp_path / "a", arrays, action_space=json.dumps(box))
    convert(LAYOUT.read(path, ReadOptions()), tmp_path / "out", ReadOptions(), name="toy")
    spec = read_card(tmp_path / "out").spec
    assert (spec.action_low, spec.action_high) == ((-2.0, -0.4), (2.0, 0.4))
    texts = write_minari(tmp_path / "b", make_arrays([2]), observation_space=json.dumps({"type": "Text"}))
    with pytest.raises(DataError, match="observations are of the space 'Text'"):
        LAYOUT.read(texts, ReadOptions())


def test_bounds_and_actions_in_single_precision(tmp_path):
    """Humanoid's 0.4 is 0.4000000059604645 in Minari's description and in its actions."""
    arrays = make_arrays([3, 2])
    bound = np.float32(0.4)
    for name in ("episode_0/actions", "episode_1/actions"):
        arrays[name] = np.clip(arrays[name], -bound, bound)
    space = {**BOX, "low": [-float(bound)] * 2, "high": [float(bound)] * 2}
    path = write_minari(tmp_path / "a", arrays, action_space=json.dumps(space))
    assert "0.4000000059604645" in (path / "data" / "metadata.json").read_text()
    for options in ({}, {"action_low": -0.4, "action_high": 0.4}):
        dataset = OfflineDataset(path, root=tmp_path, **options)
        assert dataset.data["agents", "action"].abs().max() == bound
        assert 0 < dataset.card.actions_on_bound["agents"] < 1
        np.testing.assert_allclose(dataset.spec.action_high, 0.4, rtol=1e-6)
