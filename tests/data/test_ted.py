"""`TedWriter` and `load_ted`: what is written block by block is the same as in one piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data import Episodes, episodes_to_tensordict
from omiga_torchrl.data.ted import TedWriter, entry_file, expected_bytes, row_entries, storable
from omiga_torchrl.data.ted_loading import load_ted, row_tensors
from omiga_torchrl.errors import DataError

from .conftest import make_episodes, make_hunt


def written(folder, *blocks):
    folder.mkdir(exist_ok=True)
    writer = TedWriter(folder)
    for block in blocks:
        writer.append(block)
    writer.close()
    return load_ted(folder)


def same(found, expected):
    for key in expected.keys(True, True):
        value = found[key]
        assert (value[torch.arange(len(expected))] == expected[key]).all(), key
        assert value.shape == expected[key].shape, key


@pytest.mark.parametrize(
    "episodes",
    [
        make_episodes((3, 1, 4)),
        make_episodes((2, 5), masked=True),
        make_episodes((1, 1), stored_state=True),
        make_hunt((3, 1, 2), absent=True, own_reward=True),
    ],
    ids=["plain", "masked", "state", "groups"],
)
def test_blocks_are_the_transitions_of_all_of_them(tmp_path, episodes):
    expected = episodes_to_tensordict(episodes)
    same(written(tmp_path / "one", episodes), expected)
    parts = [episodes.part(index, index + 1) for index in range(len(episodes))]
    same(written(tmp_path / "many", *parts), expected)


def test_a_writer_counts_what_it_has_written(tmp_path):
    writer = TedWriter(tmp_path)
    assert (writer.rows, writer.episodes) == (0, 0)
    writer.append(make_episodes((3, 1)))
    writer.append(make_episodes((2,)))
    assert (writer.rows, writer.episodes) == (6, 3)
    writer.abandon()


def test_every_observation_is_stored_once_steps_first_and_ends_last(tmp_path):
    rows = np.arange(6, dtype=np.float32).reshape(6, 1, 1)
    ends = np.array([False, True, False, True])
    block = Episodes(rows, np.zeros((4, 1, 1)), np.zeros(4), ends, ~ends & False, np.array([2, 2]))
    later = block.part(0, 1)
    data = written(tmp_path, block, later)
    stored = np.fromfile(entry_file(tmp_path, ("agents", "observation")), np.float32)
    assert stored.tolist() == [0, 1, 3, 4, 0, 1, 2, 5, 2]
    assert data["next", "agents", "observation"].numbers.tolist() == [1, 6, 3, 7, 5, 8]
    assert data["episode"].tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(path.name for path in (tmp_path / "agents").iterdir() if path.suffix == ".memmap") == [
        "action.memmap", "observation.memmap",
    ]  # fmt: skip
    assert not (tmp_path / "agents" / "observation").exists()


def test_the_state_is_a_view_of_one_groups_observations_or_stored(tmp_path):
    data = written(tmp_path / "plain", make_episodes())
    assert not entry_file(tmp_path / "plain", ("state",)).exists()
    assert data["state"].data_ptr() == data["agents", "observation"].data_ptr()
    assert data["state"].shape == (8, 10) and data["next", "state"].shape == (8, 10)
    assert (data["next", "state"][7] == data["next", "agents", "observation"][7].flatten()).all()
    written(tmp_path / "own", make_episodes(stored_state=True))
    assert entry_file(tmp_path / "own", ("state",)).exists()
    written(tmp_path / "groups", make_hunt())
    assert entry_file(tmp_path / "groups", ("state",)).exists()


def test_only_what_is_there_is_an_entry():
    def names(block):
        return [key for key, _ in row_entries(block)]

    assert names(make_episodes()) == [("agents", "observation")]
    assert names(make_episodes(masked=True)) == [("agents", "observation"), ("agents", "action_mask")]
    assert names(make_episodes(stored_state=True)) == [("agents", "observation"), ("state",)]
    assert names(make_hunt(absent=True)) == [
        ("predators", "observation"), ("prey", "observation"), ("state",),
        ("prey", "action_mask"), ("predators", "agent_mask"),
    ]  # fmt: skip


def test_row_tensors_have_the_last_rows_of_all_episodes(tmp_path):
    hunt = make_hunt((3, 1, 4), absent=True)
    data = written(tmp_path, hunt)
    found = dict(row_tensors(tmp_path, data))
    assert found.keys() == {key for key, _ in row_entries(hunt)}
    ends = np.array([3, 5, 10])
    for name in hunt.groups:
        rows = found[name, "observation"]
        assert len(rows) == 11 and type(rows) is torch.Tensor
        np.testing.assert_array_equal(rows[8:], hunt.groups[name].observation[ends])


def test_entries_that_some_blocks_lack_are_an_error(tmp_path):
    writer = TedWriter(tmp_path)
    writer.append(make_hunt())
    with pytest.raises(DataError, match=r"\['predators/agent_mask'\] are in some parts"):
        writer.append(make_hunt(absent=True))
    with pytest.raises(DataError, match=r"\['next/predators/reward', 'next/prey/reward'\] are in some"):
        writer.append(make_hunt(own_reward=True))
    writer.abandon()


def test_other_sizes_or_types_are_an_error(tmp_path):
    writer = TedWriter(tmp_path)
    writer.append(make_episodes())
    with pytest.raises(DataError, match="'agents/observation' changes from"):
        writer.append(make_episodes(n_agents=3))
    with pytest.raises(DataError, match="'agents/action' changes from"):
        one = make_episodes()
        writer.append(
            one.replaced(groups={"agents": type(one.groups["agents"])(one.observation, one.action[..., :1])})
        )
    writer.abandon()


def test_an_entry_is_adopted_from_another_folder(tmp_path):
    episodes = make_episodes()
    first = written(tmp_path / "first", episodes)
    (tmp_path / "second").mkdir()
    writer = TedWriter(tmp_path / "second")
    writer.append(episodes)
    source = entry_file(tmp_path / "first", ("next", "reward"))
    writer.adopt(("next", "own"), source, first["next", "reward"])
    writer.write(("extra",), np.arange(8.0)[:, None])
    writer.close()
    data = load_ted(tmp_path / "second")
    assert (data["next", "own"] == first["next", "reward"]).all() and data["next", "own"].shape == (8, 1)
    assert data["extra"].dtype == torch.float32 and data["extra"].flatten().tolist() == list(range(8))
    target = entry_file(tmp_path / "second", ("next", "own"))
    assert target.samefile(source)


def test_stored_precision():
    for given, stored in (
        (np.float64, np.float32), (np.float16, np.float32), (np.int32, np.int64), (np.uint8, np.int64),
        (np.bool_, np.bool_),
    ):  # fmt: skip
        assert storable(np.zeros(2, given)).dtype == stored
    assert storable(np.zeros((4, 6))[:, ::2]).flags.c_contiguous


@pytest.mark.parametrize(
    "episodes",
    [
        make_episodes((3, 1, 4)),
        make_episodes((2, 2), masked=True),
        make_episodes((2, 2), stored_state=True),
        make_hunt((4, 4), own_reward=True, absent=True),
    ],
    ids=["plain", "masked", "state", "groups"],
)
def test_expected_bytes_are_those_on_disk(tmp_path, episodes):
    written(tmp_path, episodes)
    found = sum(file.stat().st_size for file in tmp_path.rglob("*.memmap"))
    assert expected_bytes(episodes, episodes.steps) == found
    twice = expected_bytes(episodes, 2 * episodes.steps)
    assert twice == 2 * found
    assert expected_bytes(episodes, 0) == 0
