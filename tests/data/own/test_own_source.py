"""Own data as a source: what one may say of them, their fingerprint, and what is read once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset, ReadOptions
from omiga_torchrl.data.layouts import Reading
from omiga_torchrl.data.own.own_source import (
    OwnSource,
    checked_source,
    known_of,
    open_once,
    streamed_source,
    with_steps,
)
from omiga_torchrl.data.sources import conversion_folder
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes

OPTIONS = ReadOptions()


def checked(*blocks, known=None, name="own", **facts):
    return checked_source(name, OPTIONS, known or {}, lambda: Reading(list(blocks), **facts))


def test_what_a_user_may_know():
    assert known_of("arrays", OPTIONS, None) == {
        "layout": "arrays",
        "team_reward": "",
        "action_convention": "",
    }
    known = known_of("set", ReadOptions(team_reward="sum"), {"task": "t", "random_return": -1.0})
    assert known["team_reward"] == "sum" and known["task"] == "t" and known["random_return"] == -1.0
    assert known_of("set", ReadOptions(team_reward="sum"), {"team_reward": "mean"})["team_reward"] == "mean"
    with pytest.raises(ValueError, match="card has 'transitions', which is taken from the data"):
        known_of("arrays", OPTIONS, {"transitions": 3})
    with pytest.raises(ValueError, match="unknown field of the card 'tsk'; did you mean 'task'"):
        known_of("arrays", OPTIONS, {"tsk": "t"})


def test_the_checksum_is_of_the_content_however_it_is_cut():
    whole = make_episodes()
    source = checked(whole)
    assert source.known["data_sha256"] == checked(whole.part(0, 1), whole.part(1, 3)).known["data_sha256"]
    assert source.known["data_sha256"] != checked(make_episodes(seed=1)).known["data_sha256"]
    assert source.reads_again and len(list(source.reading().blocks)) == 1
    source.verify()


def test_what_is_known_and_learned_counts_in_the_fingerprint():
    block = make_episodes()
    sources = [
        checked(block), checked(block, known={"task": "t"}), checked(block, n_actions=3),
        checked(block, agents={"agents": ("a", "b")}),
    ]  # fmt: skip
    assert len({one.fingerprint() for one in sources}) == 4
    assert checked(block, name="other").fingerprint() == sources[0].fingerprint()
    assert len({one.known["data_sha256"] for one in sources}) == 1


def test_rows_that_are_no_transitions_count_in_the_checksum():
    def source(rewards=(), rows=0):
        def read():
            reading = Reading([make_episodes((2,))])
            for reward in rewards:
                reading.left_out.add(np.array([reward]), np.array([1]), np.array([True]))
            reading.ends.drop("padding", rows)
            return reading

        return checked_source("own", OPTIONS, {}, read).known["data_sha256"]

    assert len({source(), source([1.0]), source([2.0]), source([1.0], 3), source([], 3), source([], 4)}) == 6


def test_data_that_have_been_read_are_gone_but_for_the_cache(tmp_path):
    block = make_episodes()
    dataset = open_once(
        OfflineDataset, checked(block, known=known_of("arrays", OPTIONS, None)), root=tmp_path
    )
    assert len(dataset) == 8 and len(pickle.loads(pickle.dumps(dataset.source)).name) == 3
    with pytest.raises(DataError, match="own: the data have been read and their cache is gone"):
        dataset.source.reading()


def streamed(root, *blocks, options=OPTIONS, opened=None):
    opened = [] if opened is None else opened

    def read():
        opened.append(1)
        return Reading(iter(blocks))

    return streamed_source("own", options, known_of("episodes", options, None), read, root)


def folders(root):
    return [path.name for path in (root / "datasets").iterdir() if path.is_dir()]


def test_streams_are_converted_while_they_pass_by(tmp_path):
    opened, whole = [], make_episodes()
    source = streamed(tmp_path, whole.part(0, 2), whole.part(2, 3), opened=opened)
    assert opened == [1] and not source.reads_again
    assert conversion_folder(tmp_path, source).is_dir() and len(folders(tmp_path)) == 1
    assert source.known["data_sha256"] == checked(whole).known["data_sha256"]
    dataset = open_once(OfflineDataset, source, root=tmp_path)
    assert dataset.card.data_sha256 == source.known["data_sha256"] and len(dataset) == 8


def test_the_same_stream_again_keeps_what_is_there_and_mends_damage(tmp_path):
    folder = conversion_folder(tmp_path, streamed(tmp_path, make_episodes()))
    before = (folder / "episode.memmap").stat().st_ino
    streamed(tmp_path, make_episodes())
    assert (folder / "episode.memmap").stat().st_ino == before
    (folder / "episode.memmap").unlink()
    streamed(tmp_path, make_episodes())
    assert (folder / "episode.memmap").is_file() and len(folders(tmp_path)) == 1


def test_nothing_is_kept_of_a_stream_that_breaks(tmp_path):
    def broken():
        yield make_episodes()
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        streamed_source(
            "own", OPTIONS, known_of("episodes", OPTIONS, None), lambda: Reading(broken()), tmp_path
        )
    assert folders(tmp_path) == []


def test_what_needs_the_data_twice_is_refused(tmp_path):
    with pytest.raises(DataError, match="own: groups='unpadded' reads the data twice"):
        streamed(tmp_path, make_episodes(), options=ReadOptions(groups="unpadded"))
    assert folders(tmp_path) == []
    named = ReadOptions(groups={"a": (0,), "b": (1,)})
    dataset = open_once(OfflineDataset, streamed(tmp_path, make_episodes(), options=named), root=tmp_path)
    assert list(dataset.spec.groups) == ["a", "b"]


def test_no_step_is_an_error():
    blocks = [make_episodes((1,)), make_episodes((2,))]
    assert list(with_steps(blocks, "here")) == blocks
    with pytest.raises(DataError, match="here: no step is left"):
        list(with_steps([], "here"))


def test_a_source_says_where_it_is_read():
    source = OwnSource("x", OPTIONS, {}, lambda: Reading([]))
    assert source.reads_again and source.learned == "" and list(source.reading().blocks) == []
