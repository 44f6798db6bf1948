"""Conversion: streamed, whole or not at all, and nothing unsound gets through."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omiga_torchrl.data import (
    Episodes,
    OfflineDataset,
    Reading,
    ReadOptions,
    episode_blocks,
    episodes_to_tensordict,
    read_card,
)
from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.ted import TedWriter
from omiga_torchrl.data.ted_folder import write_whole
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError

from .conftest import make_episodes, make_hunt


def convert_blocks(blocks, folder, *, options=None, **reading):
    convert(Reading(blocks, **reading), folder, options or ReadOptions(), name="toy")
    return load_ted(folder)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1, max_size=4),
    masked=st.booleans(),
    stored_state=st.booleans(),
)
def test_blocks_give_what_one_conversion_in_memory_gives(tmp_path, lengths, masked, stored_state):
    blocks = [
        make_episodes(part, seed=seed, masked=masked, stored_state=stored_state)
        for seed, part in enumerate(lengths)
    ]
    folder = tmp_path / "converted"
    shutil.rmtree(folder, ignore_errors=True)
    data = convert_blocks(blocks, folder)
    expected = episodes_to_tensordict(Episodes.concatenate(blocks))
    assert set(data.keys(True, True)) == set(expected.keys(True, True))
    assert (data == expected).all()
    # and back, however the blocks are cut
    for block_bytes in (1, 10**9):
        again = Episodes.concatenate(list(episode_blocks(data, block_bytes=block_bytes)))
        for name, values in Episodes.concatenate(blocks).arrays().items():
            np.testing.assert_array_equal(again.arrays()[name], values)


def test_statistics_on_the_card(tmp_path):
    blocks = [make_episodes(seed=0), make_episodes((5, 2), seed=1)]
    convert_blocks(blocks, tmp_path / "x")
    card, whole = read_card(tmp_path / "x"), Episodes.concatenate(blocks)
    rows = whole.observation.reshape(-1, 5).astype(np.float64)
    np.testing.assert_allclose(card.observation_mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(card.observation_std, rows.std(0), rtol=1e-5)
    assert card.reward_mean == pytest.approx(whole.reward.astype(np.float64).mean())
    assert card.reward_std == pytest.approx(whole.reward.astype(np.float64).std())
    assert card.behaviour_return["mean"] == pytest.approx(whole.returns().mean())
    assert (card.transitions, card.episodes) == (15, 5)


def test_rewards_of_agents_may_be_of_some_groups_only(tmp_path):
    hunt = make_hunt(own_reward=True)
    prey, options = replace(hunt.groups["prey"], reward=None), ReadOptions(agent_rewards=True)
    some = hunt.replaced(groups={**hunt.groups, "prey": prey})
    data = convert_blocks([some], tmp_path / "some", options=options)
    rewards = data["next", "predators", "reward"].squeeze(-1).numpy()
    np.testing.assert_array_equal(rewards, hunt.groups["predators"].reward)
    assert ("next", "prey", "reward") not in data.keys(True, True)
    with pytest.raises(DataError, match=r"there are no rewards of agents\. Leave agent_rewards out\."):
        convert_blocks([make_hunt()], tmp_path / "none", options=options)
    assert not (tmp_path / "none").exists()


def edit(name, index, value):
    def change(episodes):
        getattr(episodes, name)[index] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("observation", (4, 0, 1), np.nan), r"'observation' is NaN or infinite in 1 rows"),
        (edit("reward", 2, np.inf), r"'reward' is NaN or infinite in 1 rows"),
        (edit("action", (3, 1, 0), np.nan), r"'action' is NaN or infinite in 1 rows"),
        (edit("truncated", 2, False), r"an episode stops without an end in row 2"),
        (edit("terminated", 1, True), r"an episode goes on after its end"),
        (
            edit("action", (3, 1, 0), 3.5),
            r"1 of 8 rows have actions outside \[-1, 1\] \(.* to 3.5\).*action_low=.*actions='raw'",
        ),
    ],
)
def test_unsound_data_are_refused_and_nothing_is_kept(tmp_path, change, message):
    episodes = make_episodes()
    change(episodes)
    with pytest.raises(DataError, match=message):
        convert_blocks([episodes], tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["x.lock"])


def test_what_actions_mean_is_said_and_kept(tmp_path):
    values = {}
    for convention in ("raw", "clip", "scale"):
        episodes = make_episodes()
        episodes.action[0] = [[2.0, -4.0], [0.5, 0.0]]
        data = convert_blocks([episodes], tmp_path / convention, options=ReadOptions(actions=convention))
        values[convention] = data["agents", "action"][0].tolist()
        assert read_card(tmp_path / convention).action_convention == convention
    assert values["raw"] == [[2.0, -4.0], [0.5, 0.0]]
    assert values["clip"] == [[1.0, -1.0], [0.5, 0.0]]
    assert values["scale"] == [[0.5, -1.0], [0.125, 0.0]]


def test_sizes_that_change_within_the_data(tmp_path):
    with pytest.raises(DataError, match=r"observation' changes from .*\(2, 5\).*another task"):
        convert_blocks([make_episodes(n_agents=2), make_episodes(n_agents=3)], tmp_path / "x")


def test_no_data(tmp_path):
    with pytest.raises(DataError, match="toy holds no transition"):
        convert_blocks([], tmp_path / "x")


def test_a_disk_that_is_full_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(OSError, match=r"not enough room in .*Nothing was kept.*root="):
        convert_blocks([make_episodes()], tmp_path / "x", steps=8)
    assert not (tmp_path / "x").exists()


def test_a_disk_that_is_full_half_way(tmp_path):
    class Full:
        name = "full"

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(writer: TedWriter) -> None:
        writer.append(make_episodes())
        writer._files["agents", "action"].close()
        writer._files["agents", "action"] = Full()
        writer.append(make_episodes())

    with pytest.raises(OSError, match="not enough room"):
        write_whole(tmp_path / "x", write)
    assert not (tmp_path / "x").exists() and not (tmp_path / "x.partial").exists()


CONVERT_SLOWLY = """
import sys, time
import numpy as np
from pathlib import Path
from omiga_torchrl.data import Reading, ReadOptions
from omiga_torchrl.data.conversion import convert
from tests.data.conftest import make_episodes

folder, pause = Path(sys.argv[1]), float(sys.argv[2])

def blocks():
    for seed in range(20):
        yield make_episodes(seed=seed)
        Path(sys.argv[3]).write_text(str(seed))
        time.sleep(pause)

convert(Reading(blocks()), folder, ReadOptions(), name="toy")
"""


def start(tmp_path, pause, mark):
    return subprocess.Popen(
        [sys.executable, "-c", CONVERT_SLOWLY, str(tmp_path / "x"), str(pause), str(tmp_path / mark)]
    )


def wait_for(path):
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def test_kill_minus_nine_leaves_nothing_that_loads(tmp_path):
    process = start(tmp_path, 0.5, "mark")
    wait_for(tmp_path / "mark")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "x").exists() and (tmp_path / "x.partial").exists()
    data = convert_blocks([make_episodes()], tmp_path / "x")
    assert len(data) == 8 and not (tmp_path / "x.partial").exists()


def test_two_at_once_convert_once(tmp_path):
    converted = []

    def blocks(name):
        for seed in range(5):
            yield make_episodes(seed=seed)
            converted.append(name)
            time.sleep(0.02)

    def run(name):
        convert(Reading(blocks(name)), tmp_path / "x", ReadOptions(), name="toy")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ("one", "other")))
    assert len(load_ted(tmp_path / "x")) == 40 and len(set(converted)) == 1


def test_the_source_is_not_touched(write, episodes):
    dataset = write(episodes, normalise_observations=True)
    files = list(dataset.source.path.iterdir())
    assert {file.name for file in files} == {"card.json", "data.npz"}
    before = [(file.stat().st_mtime_ns, file.read_bytes()) for file in files]
    OfflineDataset(dataset.source.path, reward_scale=2.0).sample(4)
    assert [(file.stat().st_mtime_ns, file.read_bytes()) for file in files] == before
