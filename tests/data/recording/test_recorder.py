"""Recording in memory and into a folder: launchers, going on after a stop, several policies."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from omiga_torchrl.data import Episodes, OfflineDataset, RecordingSettings, record_episodes
from omiga_torchrl.data.cards import BehaviourEntry
from omiga_torchrl.data.recording import dataset_recorder as recorder_module
from omiga_torchrl.data.recording.dataset_recorder import Part, record_parts
from omiga_torchrl.envs import make_env
from tests.data.conftest import make_card

from .toy_env import ToyEnv, constant_policy, record, require_whole

ROOT = Path(__file__).parents[2]


def load(folder):
    return Episodes.load(folder / "data.npz")


@pytest.mark.parametrize("amount", [{"transitions": 2000}, {"episodes": 1000}])
def test_short_episodes_are_not_preferred(amount):
    # Every other episode takes one step, every other 39: dropping the episodes that are still
    # running would leave almost only short ones.
    torch.manual_seed(0)
    lengths = record_episodes(None, ToyEnv(500, (1, 39)), **amount).length
    error = 19 / len(lengths) ** 0.5
    assert error < 2 and abs(lengths.mean() - 20) < 3 * error


def test_one_plain_environment():
    env = make_env("vmas/navigation", num_envs=1, max_steps=3, seed=0)
    assert record_episodes(None, env, episodes=2).length.tolist() == [3, 3]
    assert not env.is_closed


def test_random_actions_are_legal_and_all_legal_ones_occur():
    played = record_episodes(None, ToyEnv(8, discrete=True), transitions=300)
    assert played.action_mask is not None and played.action.dtype == np.int64
    assert [set(played.action[:, agent].tolist()) for agent in range(2)] == [{0, 1}, {0, 1, 2}]


def test_dataset_and_card(tmp_path):
    entry = BehaviourEntry("mine.pt", "f" * 64, 7, 1.5, 2.5, 9, 0)
    card = record(
        tmp_path / "data",
        constant_policy(0.5),
        task="toy/task",
        tier="best",
        behaviour=entry,
        random_return=-1.0,
    )
    episodes = load(tmp_path / "data")
    require_whole(episodes)
    assert 200 <= episodes.steps == card.transitions < 200 + 20 and len(episodes) == card.episodes
    assert (episodes.action == 0.5).all() and set(episodes.length.tolist()) == {1, 20}
    assert (card.name, card.task, card.tier, card.random_return) == ("toy", "toy/task", "best", -1.0)
    assert card.behaviour[0].episodes == len(episodes) and card.best_checkpoint_return == 2.5
    assert card.seeds == {"recording": 3} and card.spec.state_size == 2
    assert len(OfflineDataset(tmp_path / "data", batch_size=2)) == card.transitions
    assert not (tmp_path / "data.partial").exists()


def test_data_depend_on_the_seed_only(tmp_path):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one = record(tmp_path / "one")
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    make_env("vmas/navigation", num_envs=2, seed=1).rollout(2)
    shas = [record(tmp_path / name, seed=seed).data_sha256 for name, seed in (("two", 3), ("other", 4))]
    assert one.data_sha256 == shas[0] != shas[1]


def test_simulators_own_stream_is_seeded(tmp_path):
    env_fn = partial(make_env, "vmas/navigation", num_envs=3, max_steps=4)
    options = {"env_fn": env_fn, "transitions": 24, "shard_transitions": 12}
    one = record(tmp_path / "one", **options)
    make_env("vmas/navigation", num_envs=2, seed=1).rollout(2)
    two = record(tmp_path / "two", **options)
    assert one.data_sha256 == two.data_sha256 and one.task == "vmas/navigation"
    starts = load(tmp_path / "one").observation[::5].reshape(6, -1)
    assert len(np.unique(starts, axis=0)) == 6, "shards and environments begin in different states"


def test_goes_on_after_an_error(tmp_path, monkeypatch):
    plays = []

    def play(source, cutter, on_steps):
        plays.append(len(plays))
        if len(plays) == 3:
            raise RuntimeError("stopped")
        return real(source, cutter, on_steps)

    real = recorder_module.play
    whole = record(tmp_path / "whole")
    monkeypatch.setattr(recorder_module, "play", play)
    with pytest.raises(RuntimeError, match="stopped"):
        record(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert len(list((tmp_path / "data.partial").glob("*.npz"))) == 2
    with pytest.raises(ValueError, match="unfinished recording with seed=3, not 4"):
        record(tmp_path / "data", seed=4)
    with pytest.raises(ValueError, match=r"unfinished recording with policies=\[''\], not"):
        record(tmp_path / "data", constant_policy(0.5))
    del plays[:]
    assert record(tmp_path / "data").data_sha256 == whole.data_sha256
    assert len(plays) < 3, "finished shards are not played again"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "whole"]


KILLED = """
import os, signal, sys
import numpy
from tests.data.recording.toy_env import record

def savez(file, **arrays):
    saved.append(file)
    if len(saved) == 3:
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    real(file, **arrays)

saved, real, numpy.savez = [], numpy.savez, savez
record(__import__("pathlib").Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_goes_on_after_kill_9(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "data").exists()
    left = sorted(path.name for path in (tmp_path / "data.partial").iterdir())
    assert left[0].startswith(".000-00002.npz.") and left[1:] == [
        "000-00000.npz",
        "000-00001.npz",
        "plan.json",
    ]
    resumed, whole = record(tmp_path / "data"), record(tmp_path / "whole")
    assert resumed.data_sha256 == whole.data_sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "whole"]


def test_policies_play_the_same_number_of_transitions(tmp_path):
    # The second one ends every episode at once.
    parts = [Part(constant_policy(value), str(value)) for value in (1.0, 3.0)]
    env_fn = partial(ToyEnv, 3, (8,))
    card = make_card(load_toy(), best_checkpoint_return=None)
    options = RecordingSettings(shard_transitions=30)
    record_parts(parts, env_fn(), env_fn, card, folder=tmp_path / "data", transitions=128, options=options)
    assert load(tmp_path / "data").length.tolist() == [8] * 8 + [1] * 64


def load_toy():
    return record_episodes(None, ToyEnv(), episodes=2)


def test_another_process(tmp_path):
    threads = torch.get_num_threads()
    card = record(tmp_path / "data", launcher="process")
    episodes = load(tmp_path / "data")
    require_whole(episodes)
    assert 200 <= card.transitions < 220 and torch.get_num_threads() == threads
    numbers = episodes.observation[np.cumsum(episodes.length + 1) - 1, 0, 0]
    assert len(np.unique(numbers)) == len(episodes), "every shard has its own seed"
    assert len(np.unique(episodes.action[:, 0])) == episodes.steps


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["process", "ray"])
def test_launchers_repeat_and_go_on(tmp_path, launcher, monkeypatch):
    if launcher == "ray":
        ray = pytest.importorskip("ray")
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
    env_fn = partial(make_env, "vmas/balance", num_envs=3, max_steps=30)
    options = {"launcher": launcher, "workers": 2, "env_fn": env_fn}
    try:
        one = record(tmp_path / "one", **options)
        episodes = load(tmp_path / "one")
        assert (
            np.cumsum(episodes.length) - 1 == np.flatnonzero(episodes.terminated | episodes.truncated)
        ).all()
        starts = episodes.observation[np.cumsum(episodes.length + 1) - episodes.length - 1]
        # Workers and shards differ in what they begin with, and in what they draw then.
        assert len(np.unique(starts.reshape(len(episodes), -1), axis=0)) == len(episodes)
        assert len(np.unique(episodes.action[:, 0], axis=0)) == episodes.steps
        write = recorder_module.ShardFolder.write
        monkeypatch.setattr(recorder_module.ShardFolder, "write", lambda *a: (write(*a), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            record(tmp_path / "two", **options)
        monkeypatch.undo()
        assert record(tmp_path / "two", **options).data_sha256 == one.data_sha256
    finally:
        if launcher == "ray":
            ray.shutdown()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"launcher": "locl"}, "unknown launcher 'locl'; did you mean 'local'"),
        ({"workers": 2}, "workers=2 with launcher='local'; expected 1"),
        ({"launcher": "process", "workers": 0}, "workers=0 with launcher='process'"),
        ({"shard_transitions": 0}, "shard_transitions=0; expected at least 1"),
        ({"transitions": 0}, "transitions=0; expected at least 1"),
        ({"seed": -1}, "seed=-1; expected"),
    ],
)
def test_impossible_settings(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        record(tmp_path / "data", **options)
    assert not list(tmp_path.iterdir())


def test_ray_is_optional(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    with pytest.raises(ImportError, match=r"needs the package ray. pip install 'omiga-torchrl\[ray\]'"):
        record(tmp_path / "data", launcher="ray")


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="refusing to replace"):
        record(tmp_path)
    assert not tmp_path.with_name(tmp_path.name + ".partial").exists()


def test_progress(tmp_path, capsys):
    pytest.importorskip("tqdm")
    record(tmp_path / "data", progress=True)
    assert "recording toy: 100%" in capsys.readouterr().err
