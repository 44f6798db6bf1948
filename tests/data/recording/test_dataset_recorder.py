"""`record_dataset` and `record_parts`: how much is played, from which seeds, and what the card says."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from tensordict.nn import TensorDictModule

from omiga_torchrl.data import Episodes, RecordingSettings
from omiga_torchrl.data.cards import BehaviourEntry
from omiga_torchrl.data.recording import dataset_recorder
from omiga_torchrl.data.recording.dataset_recorder import Part, record_dataset, record_parts, weights_sha256
from tests.data.conftest import make_card, make_episodes

from .toy_env import ToyEnv, constant_policy, record

ENTRY = BehaviourEntry("a.pt", "f" * 64, 7, 1.5, 2.5, 9, 0)


def load(folder):
    return Episodes.load(folder / "data.npz")


def play_parts(tmp_path, parts, transitions, **settings):
    env_fn, card = partial(ToyEnv, 2, (5,)), make_card(make_episodes(), behaviour=[])
    options = RecordingSettings(**settings)
    return record_parts(
        parts, env_fn(), env_fn, card, folder=tmp_path / "data", transitions=transitions, options=options
    )


@pytest.mark.parametrize(("transitions", "steps"), [(1, 5), (5, 5), (6, 10), (20, 20), (21, 25)])
def test_as_many_whole_episodes_as_are_needed(tmp_path, transitions, steps):
    card = record(tmp_path / "data", env_fn=partial(ToyEnv, 2, (5,)), transitions=transitions)
    assert card.transitions == load(tmp_path / "data").steps == steps and card.episodes == steps // 5
    assert not (tmp_path / "data.partial").exists()


def test_policies_share_the_transitions_rounded_up(tmp_path):
    parts = [Part(constant_policy(value), str(value), ENTRY) for value in (0.25, 0.5)]
    card = play_parts(tmp_path, [*parts, Part(None, "")], 31)
    action = load(tmp_path / "data").action
    assert (action[:15] == 0.25).all() and (action[15:30] == 0.5).all() and card.transitions == 45
    assert action[30:].std() > 0.1
    assert [one.episodes for one in card.behaviour] == [3, 3]  # random actions have no entry
    assert card.behaviour[0].file == "a.pt" and ENTRY.episodes == 0
    assert card.recording == {"launcher": "local", "workers": 1, "num_envs": 2, "shard_transitions": 50_000}
    assert "torch" in card.library_versions


@pytest.mark.parametrize("transitions", [0, -1])
def test_at_least_one_transition(tmp_path, transitions):
    with pytest.raises(ValueError, match=f"transitions={transitions}; expected at least 1"):
        play_parts(tmp_path, [Part(None, "")], transitions)


def test_shards_have_seeds_of_their_own(tmp_path, monkeypatch):
    sizes, seeds = [], []
    real = dataset_recorder.play

    def play(source, cutter, on_steps):
        sizes.append(cutter._quota)
        return real(source, cutter, on_steps)

    def seeded(*args, **options):
        @contextmanager
        def collecting():
            with real_collecting(*args, **options) as collector:
                set_seed = collector.set_seed
                collector.set_seed = lambda seed: (seeds.append(seed), set_seed(seed))
                yield collector

        return collecting()

    real_collecting = dataset_recorder.collecting
    monkeypatch.setattr(dataset_recorder, "play", play)
    monkeypatch.setattr(dataset_recorder, "collecting", seeded)
    parts = [Part(None, "a"), Part(None, "b")]
    play_parts(tmp_path, parts, 50, shard_transitions=10, seed=4)
    assert sizes == [10, 10, 5] * 2 and len(set(seeds)) == 6
    first = list(seeds)
    del seeds[:]
    play_parts(tmp_path, parts, 50, shard_transitions=10, seed=4)
    assert seeds == first
    del seeds[:], sizes[:]
    play_parts(tmp_path, parts, 40, shard_transitions=10, seed=5)
    assert not set(seeds) & set(first)
    assert sizes == [10, 10] * 2  # exactly enough


def test_cards_of_what_one_says_and_of_what_is_assumed(tmp_path):
    env_fn = partial(ToyEnv, 2, (5,))
    said = {"folder": tmp_path / "data", "transitions": 5, "name": "mine"}
    plain = record_dataset(None, env_fn, **said)
    assert (plain.name, plain.task, plain.tier, plain.team_reward) == ("mine", "", "", "mean")
    assert plain.random_return is None and plain.best_checkpoint_return is None and plain.behaviour == []
    assert plain.task_kwargs == {} and plain.seeds == {"recording": 0}
    full = record_dataset(
        None, env_fn, **said, task="t", tier="best", behaviour=ENTRY, random_return=-2.0,
        task_kwargs={"team_reward": "sum", "n": 3}, seed=6,
    )  # fmt: skip
    assert (full.task, full.tier, full.random_return, full.best_checkpoint_return) == ("t", "best", -2.0, 2.5)
    assert full.task_kwargs == {"team_reward": "sum", "n": 3} and full.team_reward == "sum"
    assert full.seeds == {"recording": 6} and full.behaviour[0].episodes == 1


def test_environments_are_closed_also_after_an_error(tmp_path, monkeypatch):
    closed = []

    class Env(ToyEnv):
        def close(self, **options):
            closed.append(options)
            super().close(**options)

    said = {"env_fn": partial(Env, 2, (5,)), "transitions": 5, "name": "mine"}
    record_dataset(None, folder=tmp_path / "data", **said)
    assert closed == [{"raise_if_closed": False}]

    def play(*args):
        raise KeyError("stop")

    monkeypatch.setattr(dataset_recorder, "play", play)
    with pytest.raises(KeyError, match="stop"):
        record_dataset(None, folder=tmp_path / "other", **said)
    assert len(closed) == 2


def test_checksums_of_weights():
    assert weights_sha256(None) == ""
    one, same, other = (weights_sha256(constant_policy(value)) for value in (0.5, 0.5, 0.25))
    assert one == same != other and len(one) == 64

    def linear(name):
        module = torch.nn.Module()
        setattr(module, name, torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)))
        return TensorDictModule(module, in_keys=["x"], out_keys=["y"])

    assert weights_sha256(linear("a")) != weights_sha256(linear("b"))


def test_progress_counts_what_is_there_and_no_more_than_is_wanted(tmp_path, monkeypatch):
    told = []

    class Bar:
        def __init__(self, **options):
            self.n, self.total = options["initial"], options["total"]
            told.append((self.n, self.total))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            told.append(self.n)

        def update(self, steps):
            self.n += steps

    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    real, calls = dataset_recorder.play, []

    def play(source, cutter, on_steps):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("stop")
        return real(source, cutter, on_steps)

    monkeypatch.setattr(dataset_recorder, "play", play)
    parts = [Part(None, "a"), Part(None, "b")]
    with pytest.raises(RuntimeError, match="stop"):
        play_parts(tmp_path, parts, 36, shard_transitions=10, progress=True)
    play_parts(tmp_path, parts, 36, shard_transitions=10, progress=True)
    assert told == [(0, 36), 20, (18, 36), 36]
    play_parts(tmp_path, parts, 36)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    play_parts(tmp_path, parts, 36, progress=True)
    assert len(told) == 4  # not wanted, or tqdm is missing
