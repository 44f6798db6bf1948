"""D4RL's files: where episodes end, and which next observations are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts import d4rl as module
from omiga_torchrl.data.layouts.d4rl import D4rlLayout
from omiga_torchrl.data.spans import block_spans
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError

from .helpers_hdf5 import assert_survives_damage, read_all, transitions, write_h5

LAYOUT = D4rlLayout()

TERMINAL, TIMEOUT, UNMARKED = "terminal", "timeout", "unmarked"


def make_arrays(episodes, *, following=True, seed=0, dtype=np.float32):
    """The published fields of episodes ``(steps, how they end)``."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(steps + 1, 3)).astype(dtype) for steps, _ in episodes]
    rows = sum(steps for steps, _ in episodes)
    terminals, timeouts = np.zeros((2, rows), bool)
    last = np.cumsum([steps for steps, _ in episodes]) - 1
    for row, (_, end) in zip(last, episodes, strict=True):
        terminals[row], timeouts[row] = end == TERMINAL, end == TIMEOUT
    arrays = {
        "observations": np.concatenate([part[:-1] for part in parts]),
        "actions": rng.uniform(-1, 1, (rows, 2)).astype(dtype),
        "rewards": rng.normal(size=rows).astype(dtype),
        "terminals": terminals,
        "timeouts": timeouts,
        "infos/qpos": rng.normal(size=(rows, 5)),
        "metadata/algorithm": np.bytes_("SAC"),
    }
    if following:
        arrays["next_observations"] = np.concatenate([part[1:] for part in parts])
    return arrays


def read_slowly(arrays, *, drop=lambda arrays, row: False):
    """Transitions by plain Python; ``drop`` says of which rows the next observation is not known."""
    plain = {name: np.asarray(values).tolist() for name, values in arrays.items()}
    rows, following = len(plain["rewards"]), plain.get("next_observations")
    out, episode = [], []
    for row in range(rows):
        terminal, ends = plain["terminals"][row], plain["terminals"][row] or plain["timeouts"][row]
        if following:
            ends = ends or row == rows - 1 or plain["observations"][row + 1] != following[row]
            after = following[row]
        else:
            ends = ends or row == rows - 1
            after = plain["observations"][row if ends else row + 1]
        if following or terminal or not ends:
            episode.append(
                {
                    "observation": [plain["observations"][row]],
                    "next_observation": [after],
                    "action": [plain["actions"][row]],
                    "reward": plain["rewards"][row],
                    "terminated": terminal,
                    "truncated": False,
                }
            )
        if ends:
            if episode and not terminal:
                episode[-1]["truncated"] = True
            out += [episode] if episode else []
            episode = []
    return [{"episode": number, **one} for number, steps in enumerate(out) for one in steps]


def test_by_hand_with_next_observations(tmp_path):
    """Rows 0-1 end without a flag, row 2 terminates, row 3 runs out of time."""
    arrays = {
        "observations": np.array([[1.0], [2.0], [5.0], [7.0]]),
        "next_observations": np.array([[2.0], [3.0], [6.0], [8.0]]),
        "actions": np.array([[0.1], [0.2], [0.3], [0.4]]),
        "rewards": np.arange(4.0),
        "terminals": np.array([0, 0, 1, 0]),
        "timeouts": np.array([0, 0, 0, 1]),
    }
    episodes = read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays))
    assert episodes.length.tolist() == [2, 1, 1]
    assert episodes.observation.ravel().tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert episodes.observation.shape == (7, 1, 1) and episodes.action.shape == (4, 1, 1)
    assert episodes.terminated.tolist() == [False, False, True, False]
    assert episodes.truncated.tolist() == [False, True, False, True]
    assert episodes.state is None and episodes.action_mask is None


def test_by_hand_without_next_observations(tmp_path):
    """Rows 0-2 run out of time: the last one is no step. Rows 3-4 terminate; row 5 is dropped."""
    arrays = {
        "observations": np.arange(6.0)[:, None],
        "actions": np.zeros((6, 1)),
        "rewards": np.arange(6.0),
        "terminals": np.array([0, 0, 0, 0, 1, 0]),
        "timeouts": np.array([0, 0, 1, 0, 0, 1]),
    }
    episodes = read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays))
    assert episodes.length.tolist() == [2, 2]
    assert episodes.observation.ravel().tolist() == [0, 1, 2, 3, 4, 4]
    assert episodes.reward.tolist() == [0, 1, 3, 4]
    assert episodes.terminated.tolist() == [False, False, False, True]
    assert episodes.truncated.tolist() == [False, True, False, False]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    episodes=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([TERMINAL, TIMEOUT, UNMARKED])), min_size=1, max_size=8
    ),
    following=st.booleans(),
    small=st.booleans(),
)
def test_any_episode_structure(tmp_path, episodes, following, small):
    arrays = make_arrays(episodes, following=following)
    path, expected = write_h5(tmp_path / "a.hdf5", arrays), read_slowly(arrays)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(module, "_PIECE_ROWS", 2)
            patch.setattr(module, "block_spans", lambda lengths, size: block_spans(lengths, size, 1))
        reading = LAYOUT.read(path, ReadOptions(incomplete="truncated"))
        blocks = list(reading.blocks)
    assert reading.steps == sum(block.steps for block in blocks) == len(expected)
    if expected:
        assert transitions(read_all(LAYOUT, path, incomplete="truncated")) == expected
    if small:
        assert all(len(block) == 1 for block in blocks)


def test_the_last_episode_has_no_end(tmp_path):
    for following, length in ((True, 3), (False, 2)):
        arrays = make_arrays([(2, TERMINAL), (3, UNMARKED)], following=following)
        path = write_h5(tmp_path / "a.hdf5", arrays)
        with pytest.raises(DataError, match=r"rows 2 to 4, has no end.*incomplete='truncated'"):
            LAYOUT.read(path, ReadOptions())
        episodes = read_all(LAYOUT, path, incomplete="truncated")
        assert episodes.length.tolist() == [2, length] and episodes.truncated[-1]


def test_files_without_time_outs(tmp_path):
    arrays = make_arrays([(3, TIMEOUT), (3, TIMEOUT), (2, TERMINAL), (3, TIMEOUT)], following=False)
    del arrays["timeouts"]
    path = write_h5(tmp_path / "a.hdf5", arrays)
    with pytest.raises(DataError, match=r"neither 'timeouts' nor 'next_observations'.*max_steps="):
        LAYOUT.read(path, ReadOptions())
    episodes = read_all(LAYOUT, path, max_steps=3)
    assert episodes.length.tolist() == [2, 2, 2, 2]
    assert episodes.terminated.nonzero()[0].tolist() == [5]
    # With next observations the gaps between episodes are enough, except behind the last one.
    arrays = make_arrays([(3, TIMEOUT), (2, TERMINAL)])
    del arrays["timeouts"]
    assert read_all(LAYOUT, write_h5(tmp_path / "b.hdf5", arrays)).length.tolist() == [3, 2]


@pytest.mark.parametrize("following", [True, False])
def test_time_outs_as_the_user_wants_them(tmp_path, following):
    path = write_h5(
        tmp_path / "a.hdf5", make_arrays([(3, TERMINAL), (2, TIMEOUT), (2, TERMINAL)], following=following)
    )
    terminal = read_all(LAYOUT, path, timeout_is_terminal=True)
    assert terminal.length.tolist() == [3, 2, 2]  # nothing behind a terminal step is needed
    assert terminal.terminated.sum() == 3 and not terminal.truncated.any()
    late = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=3)
    assert late.length.tolist() == ([3, 2, 2] if following else [2, 1, 2])
    assert late.terminated.nonzero()[0].tolist() == [late.steps - 1]


def test_single_precision_next_observations_of_double_precision_observations(tmp_path):
    arrays = make_arrays([(4, TERMINAL)], dtype=np.float64)
    arrays["next_observations"] = arrays["next_observations"].astype(np.float32)
    assert read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays)).length.tolist() == [4]


def test_other_shapes_and_types(tmp_path):
    arrays = make_arrays([(3, TERMINAL), (2, TIMEOUT)])
    expected = transitions(read_all(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays)))
    for name in ("rewards", "terminals", "timeouts"):
        arrays[name] = arrays[name][:, None].astype(float)
    assert transitions(read_all(LAYOUT, write_h5(tmp_path / "b.hdf5", arrays))) == expected
    arrays["observations"] = np.arange(5, dtype=np.uint8)[:, None]
    arrays["next_observations"] = arrays["observations"] + 1
    episodes = read_all(LAYOUT, write_h5(tmp_path / "c.hdf5", arrays))
    assert episodes.observation.dtype == np.float32
    assert episodes.observation.ravel().tolist() == [0, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: [a.pop("rewards"), a.pop("terminals")], "'rewards' is missing; 'terminals' is missing"),
        (lambda a: a.update(actions=a["actions"][:, 0], rewards=a["rewards"][:2]),
         r"'actions' has shape \(5,\), expected \(R, .*'rewards' has shape \(2,\), 'observations' \(5, 3\)"),
        (lambda a: a.update(actions=np.zeros((5, 1), int)), r"must be floats.*from_arrays\(.*n_actions="),
        (lambda a: a.update(terminals=np.zeros((5, 2))), r"'terminals' has shape \(5, 2\)"),
        (lambda a: a.update(next_observations=np.zeros((5, 7))), r"'next_observations' has shape \(5, 7\)"),
        (lambda a: a.update(timeouts=np.full(5, 2)), "'timeouts' holds 2 in row 0"),
        (lambda a: a.update(observations=a["observations"][:0]), r"'observations' has shape \(0, 3\)"),
        (lambda a: a.update(rewards=np.full(5, b"x")), "'rewards' has type"),
        (lambda a: a.update(observations=1.0), r"'observations' has shape \(\), expected \(R, features\)"),
    ],
)  # fmt: skip
def test_bad_files_are_refused(tmp_path, change, message):
    arrays = make_arrays([(3, TERMINAL), (2, TIMEOUT)])
    change(arrays)
    with pytest.raises(DataError, match=rf"a\.hdf5.*{message}"):
        LAYOUT.read(write_h5(tmp_path / "a.hdf5", arrays), ReadOptions())


def test_files_that_are_not_of_this_layout(tmp_path):
    arrays = make_arrays([(3, TERMINAL)])
    whole = write_h5(tmp_path / "a.hdf5", arrays)
    other = write_h5(tmp_path / "b.hdf5", {"o": arrays["observations"], "episode_0/observations": np.ones(3)})
    cut = tmp_path / "c.hdf5"
    cut.write_bytes(whole.read_bytes()[:-100])
    assert LAYOUT.matches(whole)
    assert not any(map(LAYOUT.matches, (other, cut, tmp_path, tmp_path / "missing")))
    with pytest.raises(DataError, match=r"c\.hdf5 cannot be read"):
        LAYOUT.read(cut, ReadOptions())


def test_damaged_files_are_refused_or_sound(tmp_path):
    arrays = make_arrays([(3, TERMINAL), (20, TIMEOUT), (4, UNMARKED), (4, TERMINAL)])
    assert_survives_damage(LAYOUT, write_h5(tmp_path / "a.hdf5", arrays))


def test_converted_to_a_dataset(tmp_path):
    arrays = make_arrays([(3, TERMINAL), (2, TIMEOUT)])
    path = write_h5(tmp_path / "a.hdf5", arrays)
    convert(LAYOUT.read(path, ReadOptions()), tmp_path / "out", ReadOptions(), name="toy")
    data = load_ted(tmp_path / "out")
    assert data["agents", "observation"].shape == (5, 1, 3) and data["agents", "action"].shape == (5, 1, 2)
    np.testing.assert_array_equal(data["next", "state"], arrays["next_observations"])
    np.testing.assert_array_equal(data["next", "reward"][:, 0], arrays["rewards"])
