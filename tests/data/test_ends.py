"""How episodes end: of files in every layout, of the cache, of sets, in words and as a picture."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, dataset_statistics
from omiga_torchrl.data.ends import DatasetEnds, suspected_limit
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.padded import padded_to_episodes
from omiga_torchrl.errors import DataError
from omiga_torchrl.report.dataset_figure import draw_dataset
from tests.data.layouts.helpers_files import make_omar, make_padded, write_npys
from tests.data.layouts.helpers_hdf5 import write_h5
from tests.data.layouts.test_omiga_mujoco import make_arrays

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))


def d4rl_rows(lengths, terminal, *, following=True, auto_reset=False, seed=0):
    """One agent; ``terminal`` says which episodes terminate, the others time out."""
    rng = np.random.default_rng(seed)
    rows = {
        name: []
        for name in ("observations", "next_observations", "actions", "rewards", "terminals", "timeouts")
    }
    for length, ends in zip(lengths, terminal, strict=True):
        seen = rng.normal(size=(length + 1, 3)).astype(np.float32)
        rows["observations"].extend(seen[:-1])
        rows["next_observations"].extend(seen[1:])
        rows["actions"].extend(rng.uniform(-1, 1, (length, 2)).astype(np.float32))
        rows["rewards"].extend(np.arange(length) + 1.0)
        rows["terminals"].extend(ends and t == length - 1 for t in range(length))
        rows["timeouts"].extend(not ends and t == length - 1 for t in range(length))
    arrays = {name: np.array(values) for name, values in rows.items()}
    if auto_reset:
        last = np.cumsum(lengths)[:-1] - 1
        arrays["next_observations"][last] = arrays["observations"][last + 1]
    if not following:
        del arrays["next_observations"]
    return arrays


def test_the_report_of_a_file_and_of_its_cache(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", d4rl_rows([3, 5, 5, 2], [True, False, False, True], following=False))
    ends = OfflineDataset(path).ends
    assert ends.length.tolist() == [3, 4, 4, 2] and ends.kind.tolist() == [0, 1, 1, 0]
    assert ends.dropped == {"last steps, as what was seen after them is unknown": 2}
    assert str(ends).splitlines() == [
        "4 episodes, 13 steps",
        "  steps per episode: 2 to 4, median 3.5",
        "  terminated: 2 (50.0 %), 2 to 3 steps, median 2.5",
        "  timed out: 2 (50.0 %), 4 to 4 steps, median 4",
        "  cut: 0",
        "  rows that are no steps: 2 last steps, as what was seen after them is unknown",
    ]
    again = OfflineDataset(path)
    assert again.ends == ends
    (again.data_path / "ends.npz").unlink()  # as of a former version: what the transitions tell
    assert again.ends == DatasetEnds(ends.length, ends.kind)


def test_episodes_without_a_mark_are_cut(tmp_path):
    arrays = d4rl_rows([3, 4, 2], [True, False, False])
    arrays["timeouts"][:] = False
    path = write_h5(tmp_path / "a.hdf5", arrays)
    ends = OfflineDataset(path, incomplete="truncated").ends
    assert ends.kind.tolist() == [0, 2, 2] and ends.length.tolist() == [3, 4, 2] and not ends.dropped
    omar = OfflineDataset(write_npys(tmp_path / "omar", make_omar([3, 1, 2], done=(1,)))).ends
    assert omar.kind.tolist() == [2, 0, 2]


def test_time_limits_that_are_called_terminations_are_told(tmp_path, caplog):
    path = write_h5(tmp_path / "a.hdf5", d4rl_rows([7, 4, *[9] * 12], [True] * 14))
    with caplog.at_level(logging.WARNING):
        (note,) = OfflineDataset(path).ends.notes
    assert note.startswith("12 of 14 terminations come after exactly 9 steps") and "max_steps=9" in note
    assert note in caplog.text
    caplog.clear()
    told = OfflineDataset(path, timeout_is_terminal=False, max_steps=9).ends
    assert not told.notes and not caplog.text and told.share("timed out") == 12 / 14
    assert suspected_limit(np.array([9] * 9 + [1])) == (None, 0)  # too few to tell
    assert suspected_limit(np.array([9] * 10 + [1] * 91)) == (None, 0)
    assert suspected_limit(np.ones(50)) == (None, 0)


@pytest.mark.parametrize("terminal", [True, False])
def test_next_observations_of_the_next_episode_are_not_used(tmp_path, terminal):
    """Environments that reset by themselves: of time-outs the last step is left out, and counts."""
    arrays = d4rl_rows([4, 3, 5], [terminal] * 3, auto_reset=True)
    dataset = OfflineDataset(write_h5(tmp_path / "a.hdf5", arrays), reward_scale=None)
    data, ends = dataset.data, dataset.ends
    # After the last row of the file nothing begins: what it has is its own.
    assert ends.length.tolist() == ([4, 3, 5] if terminal else [3, 2, 5])
    assert "after 2 ends is the first observation of the next episode" in ends.notes[0]
    begins = arrays["observations"][[4, 7]]
    following = data["next", "agents", "observation"][:, 0].numpy()
    assert not (following[:, None] == begins).all(-1)[data["next", "done"].flatten().numpy()].any()
    assert dataset.card.behaviour_return["mean"] == np.mean([10, 6, 15])
    right = OfflineDataset(write_h5(tmp_path / "b.hdf5", d4rl_rows([4, 3, 5], [terminal] * 3))).ends
    assert right.length.tolist() == [4, 3, 5] and not right.notes


def test_auto_reset_in_omars_files(tmp_path):
    arrays = make_omar([4, 3, 5], done=(0, 1, 2))
    for agent in range(2):
        for row in (3, 6):
            arrays[f"next_obs_{agent}"][row] = arrays[f"obs_{agent}"][row + 1]
    path = write_npys(tmp_path / "a", arrays)
    assert "after 2 ends" in OfflineDataset(path).ends.notes[0]
    with pytest.raises(DataError, match="first observation of the next one"):
        OfflineDataset(path, timeout_is_terminal=False, max_steps=4, root=tmp_path / "b").ends  # noqa: B018


def test_rewards_of_rows_that_are_no_steps_count(tmp_path):
    """OMIGA's rows with ``d`` have none; where they have one, the return has it, and the report says so."""
    arrays = make_arrays([2, 3])
    arrays["r"][:] = [[1.0], [2], [10], [3], [4], [5], [0]]
    dataset = OfflineDataset(write_h5(tmp_path / "a.hdf5", arrays), reward_scale=None)
    assert dataset.data["next", "reward"].flatten().tolist() == [1, 2, 3, 4, 5]
    assert dataset.card.behaviour_return["mean"] == np.mean([13, 12])
    assert dataset.ends.dropped == {
        "delimiter rows": 2,
        "last steps, as what was seen after them is unknown": 1,
    }


def test_rewards_of_last_rows_of_pymarls_batches_count():
    arrays = make_padded([3, 2, 0], [True, False, False])
    arrays["reward"][:] = 1
    arrays["avail_actions"][:] = 1
    left_out = LeftOut()
    episodes = padded_to_episodes(arrays, "here", ReadOptions(), left_out)
    assert episodes.returns().tolist() == [3, 2]
    # The row behind the time-out has a reward, that behind the termination is no matter.
    assert left_out.steps == 1 and left_out.whole_returns(episodes.returns()).tolist() == [3, 3]


def test_sets_keep_what_is_known_of_the_ends(tmp_path):
    arrays = d4rl_rows([3, 4, 2, 6], [True, False, False, True])
    arrays["timeouts"][6] = False
    one = OfflineDataset(write_h5(tmp_path / "a.hdf5", arrays))
    two = OfflineDataset(write_h5(tmp_path / "b.hdf5", make_d4rl_like(arrays)))
    assert one.ends.kind.tolist() == [0, 2, 1, 0]
    both = OfflineDataset.concatenate([one, two])
    assert both.ends.kind.tolist() == [0, 2, 1, 0] * 2
    assert one.subset(episodes=[1, 3]).ends.kind.tolist() == [2, 0]


def make_d4rl_like(arrays):
    return {
        name: values + 0.5 if name == "observations" or name.startswith("next") else values
        for name, values in arrays.items()
    }


def test_statistics_have_the_ends_and_the_picture_their_colours(tmp_path):
    path = write_h5(tmp_path / "a.hdf5", d4rl_rows([3, 5, 5, 2], [True, False, False, True]))
    dataset = OfflineDataset(path)
    statistics = dataset_statistics(dataset)
    assert statistics.ends == dataset.ends
    told = json.loads(statistics.to_json())["ends"]
    assert told["timed out"] == {"count": 2, "shortest": 5, "median": 5.0, "longest": 5}
    panel = draw_dataset(statistics).axes[1]
    drawn = [patch.get_data() for patch in panel.patches]
    heights = [one.values - one.baseline for one in drawn]
    # Lengths 2 to 5: two terminated, two timed out.
    assert [one.tolist() for one in heights] == [[1, 1, 0, 0], [0, 0, 0, 2]]
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["terminated: 50.0 %", "timed out: 50.0 %"]
    assert dataset_statistics(dataset.data).ends == dataset.ends
