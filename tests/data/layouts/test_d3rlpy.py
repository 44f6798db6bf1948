"""Files as `ReplayBuffer.dump` of d3rlpy 2.8.1 writes them, by plain h5py."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, find_layout
from omiga_torchrl.data.layouts.d3rlpy import D3rlpyLayout
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_hdf5 import read_all, write_h5

LAYOUT = D3rlpyLayout()


def make_dump(episodes, *, discrete=False, parts=1, seed=0):
    """Names and types as in a real file: lengths and whether they terminated."""
    rng, arrays = np.random.default_rng(seed), {}
    for number, (steps, terminated) in enumerate(episodes):
        for part in range(parts):
            name = f"observations_{number}" + (f"_{part}" if parts > 1 else "")
            arrays[name] = rng.normal(size=(steps, 3 - part)).astype(np.float32)
        arrays[f"actions_{number}"] = (
            rng.integers(4, size=(steps, 1)) if discrete else rng.uniform(-1, 1, (steps, 2)).astype("f4")
        )
        arrays[f"rewards_{number}"] = rng.normal(size=(steps, 1)).astype(np.float32)
        arrays[f"terminated_{number}"] = np.array(terminated)
    columns = np.array([b"observations", b"actions", b"rewards", b"terminated"], object)
    return arrays | {"columns": columns, "num_episodes": np.int64(len(episodes)), "version": "2.1"}


@pytest.mark.parametrize("parts", [1, 2])
def test_by_hand(tmp_path, parts):
    """A terminated episode is whole; of another one the last step is left out, its reward counts."""
    arrays = make_dump([(3, True), (2, False), (1, False)], parts=parts)
    path = write_h5(tmp_path / "a.h5", arrays)
    episodes = read_all(LAYOUT, path)
    names = ["observations_0"] if parts == 1 else ["observations_0_0", "observations_0_1"]
    first = np.concatenate([arrays[name] for name in names], 1)
    np.testing.assert_array_equal(episodes.observation[:4, 0], first[[0, 1, 2, 2]])
    assert episodes.length.tolist() == [3, 1]
    assert episodes.terminated.tolist() == [False, False, True, False]
    assert episodes.truncated.tolist() == [False, False, False, True]
    dataset = OfflineDataset(path, root=tmp_path)
    returns = [arrays[f"rewards_{number}"].sum() for number in range(3)]
    np.testing.assert_allclose(dataset.card.behaviour_return["mean"], np.mean(returns), rtol=1e-6)
    assert dataset.card.left_out_steps == 2 and find_layout(path).name == "d3rlpy"


def test_discrete_actions_are_counted_over_all_episodes(tmp_path):
    arrays = make_dump([(2, True), (3, True)], discrete=True)
    arrays["actions_0"][:], arrays["actions_1"][:, 0] = 0, [5, 0, 2]
    path = write_h5(tmp_path / "a.h5", arrays)
    dataset = OfflineDataset(path, root=tmp_path)
    assert dataset.spec.action_size == 6 and dataset.spec.discrete and not dataset.spec.masked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_episodes": np.int64(9)}, "'observations_2' is missing"),
        ({"num_episodes": np.int64(10**6)}, "'num_episodes' is 1000000"),
        ({"num_episodes": np.float64(2)}, "'num_episodes' is 2.0"),
        ({"observations_0": np.zeros((3, 4, 4, 3), "u1")}, "are observations vectors"),
        ({"rewards_1": np.zeros((3, 1))}, r"'rewards_1' has shape \(3, 1\), expected \(2,\) or \(2, 1\)"),
        ({"observations_1": np.zeros((2, 7))}, "differs from the first one: 'observation'"),
        ({"actions_1": np.zeros((2, 1), int)}, "differs from the first one: 'action'"),
        ({"terminated_1": np.zeros(2, bool)}, r"'terminated_1' has shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, words):
    path = write_h5(tmp_path / "a.h5", make_dump([(3, True), (2, False)]) | change)
    with pytest.raises(DataError, match=words):
        read_all(LAYOUT, path)


def test_time_limits(tmp_path):
    path = write_h5(tmp_path / "a.h5", make_dump([(3, True), (2, True)]))
    episodes = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=3)
    assert episodes.truncated.tolist() == [False, True, False, False]
    assert episodes.length.tolist() == [2, 2]


def test_every_shape_that_a_field_may_have(tmp_path):
    arrays = make_dump([(3, True), (2, True)])
    expected = read_all(LAYOUT, write_h5(tmp_path / "a.h5", arrays))
    flat = {name: a[:, 0] if name.startswith("rewards") else a for name, a in arrays.items()}
    found = read_all(LAYOUT, write_h5(tmp_path / "b.h5", flat))
    np.testing.assert_array_equal(found.reward, expected.reward)
    single = arrays | {
        f"{kind}_{i}": arrays[f"{kind}_{i}"][:, 0] for kind in ("observations", "actions") for i in (0, 1)
    }
    found = read_all(LAYOUT, write_h5(tmp_path / "c.h5", single))
    np.testing.assert_array_equal(found.action, expected.action[..., :1])
    np.testing.assert_array_equal(found.observation, expected.observation[..., :1])
    index = make_dump([(3, True)], discrete=True)
    columns = read_all(LAYOUT, write_h5(tmp_path / "d.h5", index))
    assert columns.action.tolist() == index["actions_0"].tolist() and columns.action.shape == (3, 1)
    index["actions_0"] = index["actions_0"][:, 0]
    assert read_all(LAYOUT, write_h5(tmp_path / "e.h5", index)).action.tolist() == columns.action.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_episodes": np.int64(0)}, "'num_episodes' is 0, the file has 11 entries"),
        ({"num_episodes": np.int64(12)}, "'num_episodes' is 12, the file has 11 entries"),
        ({"num_episodes": np.int64(11)}, "'observations_2' is missing"),
        ({"num_episodes": np.ones(1, int)}, r"'num_episodes' is \[1\]"),
        (
            {"actions_0": np.zeros((3, 2), int)},
            "'actions_0' are whole numbers of shape .*, expected one a step",
        ),
        ({"actions_0": np.zeros((3, 2, 1))}, r"'actions_0' has shape .*, expected \(3,\) or \(3, 'F'\)"),
        ({"observations_0": np.zeros((4, 3))}, r"'observations_0' has shape \(4, 3\), expected \(3,\)"),
        ({"observations_0": np.zeros((3, 0))}, r"'observations_0' has shape \(3, 0\)"),
        ({"rewards_0": np.zeros((3, 2))}, r"'rewards_0' has shape \(3, 2\), expected \(3,\) or \(3, 1\)"),
        ({"rewards_0": np.zeros(2)}, r"'rewards_0' has shape \(2,\)"),
    ],
)
def test_sizes_of_the_first_episode(tmp_path, change, words):
    path = write_h5(tmp_path / "a.h5", make_dump([(3, True), (2, False)]) | change)
    with pytest.raises(DataError, match=f"OfflineDataset: .*{words}"):
        read_all(LAYOUT, path)
