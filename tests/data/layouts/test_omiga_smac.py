"""OMIGA's StarCraft episodes: a dead agent is no end, and no file runs code."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.conversion import convert
from omiga_torchrl.data.layouts import ReadOptions, omiga_smac
from omiga_torchrl.data.layouts.omiga_smac import OmigaSmacLayout
from omiga_torchrl.data.ted_loading import load_ted
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_files import fingerprint, make_smac, write_every_layout, write_smac
from tests.data.layouts.helpers_hdf5 import mutate, read_all, transitions

LAYOUT = OmigaSmacLayout()


def read_slowly(episodes):
    """Transitions by plain Python; an episode that is not done loses its last step."""
    out, number = [], 0
    for episode in episodes:
        ended = all(agent[-1][4] for agent in episode)
        length = len(episode[0]) - (not ended)
        for t in range(length):
            after = min(t + 1, len(episode[0]) - 1)
            out.append(
                {
                    "episode": number,
                    "observation": [agent[t][1] for agent in episode],
                    "next_observation": [agent[after][1] for agent in episode],
                    "state": [value for agent in episode for value in agent[t][0]],
                    "next_state": [value for agent in episode for value in agent[after][0]],
                    "action": [agent[t][2][0] for agent in episode],
                    "reward": episode[0][t][3][0],
                    "terminated": ended and t == length - 1,
                    "truncated": not ended and t == length - 1,
                }
            )
        number += length > 0
    return out


def test_by_hand(tmp_path):
    episode = [
        [[[1.0], [10.0], [1], [0.5], False, [0, 1]], [[2.0], [20.0], [0], [1.5], True, [1, 0]]],
        [[[3.0], [30.0], [0], [0.5], True, [1, 0]], [[4.0], [40.0], [1], [1.5], True, [1, 1]]],
    ]
    episodes = read_all(LAYOUT, write_smac(tmp_path, [episode]))
    assert episodes.length.tolist() == [2]
    assert episodes.observation[..., 0].tolist() == [[10, 30], [20, 40], [20, 40]]
    assert episodes.state.tolist() == [[1, 3], [2, 4], [2, 4]]
    assert episodes.action.tolist() == [[1, 0], [0, 1]]
    assert episodes.reward.tolist() == [0.5, 1.5]
    assert episodes.terminated.tolist() == [False, True] and not episodes.truncated.any()
    assert episodes.action_mask.tolist()[:2] == [
        [[False, True], [True, False]],
        [[True, False], [True, True]],
    ]


@settings(max_examples=25, deadline=None)
@given(
    cases=st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=4),
    agents=st.integers(2, 3),
    lists=st.booleans(),
    old=st.booleans(),
    small=st.booleans(),
)
def test_any_episode_structure(tmp_path_factory, cases, agents, lists, old, small):
    def make(lists):
        return [
            make_smac(length, agents=agents, ended=ended, seed=i, lists=lists)
            for i, (length, ended) in enumerate(cases)
        ]

    path = write_smac(tmp_path_factory.mktemp("smac"), make(lists), _use_new_zipfile_serialization=not old)
    expected = read_slowly(make(lists=True))
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(omiga_smac, "BLOCK_BYTES", 1)  # a block per episode
        reading = LAYOUT.read(path, ReadOptions(incomplete="truncated"))
        assert reading.n_actions == 5
        blocks = list(reading.blocks)
    assert len(blocks) == (len({one["episode"] for one in expected}) if small else bool(expected))
    if expected:
        assert transitions(type(blocks[0]).concatenate(blocks)) == expected


def test_episodes_without_an_end(tmp_path):
    path = write_smac(tmp_path, [make_smac(3), make_smac(4, ended=False)])
    with pytest.raises(
        DataError, match=r"0001: not all agents are done in its last step, 3.*incomplete='trunc"
    ):
        read_all(LAYOUT, path)
    episodes = read_all(LAYOUT, path, incomplete="truncated")
    assert episodes.length.tolist() == [3, 3] and episodes.truncated.tolist() == [False] * 5 + [True]


def test_time_outs_as_the_user_wants_them(tmp_path):
    path = write_smac(tmp_path, [make_smac(3), make_smac(4)])
    assert read_all(LAYOUT, path, timeout_is_terminal=True).terminated.sum() == 2
    # What was seen after the last step of the second is not stored: the step goes.
    episodes = read_all(LAYOUT, path, timeout_is_terminal=False, max_steps=4)
    assert episodes.length.tolist() == [3, 3]
    assert episodes.terminated.tolist() == [False, False, True, False, False, False]
    assert episodes.truncated.tolist() == [False] * 5 + [True]
    with pytest.raises(ValueError, match="pass max_steps="):
        LAYOUT.read(path, ReadOptions(timeout_is_terminal=False))


def change_all(episode, field, value):
    for agent in episode:
        for step in agent:
            step[field] = value
    return episode


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: {"a": 1}, "holds no list of agents"),
        (lambda e: [], "holds no list of agents"),
        (lambda e: [[], []], r"agents have \[0\] steps"),
        (lambda e: [e[0], e[1][:-1]], r"agents have \[2, 3\] steps; expected one length"),
        (lambda e: [[step[:5] for step in agent] for agent in e], r"expected steps \[g, o, a, r, d, ava\]"),
        (lambda e: [[torch.ones(3)] * 3] * 2, r"expected steps \[g, o, a, r, d, ava\]"),
        (lambda e: change_all(e, 1, [1.0, "two"]), "observation cannot be read: TypeError"),
        (lambda e: change_all(e, 1, [[1.0], [2.0]]), "observation cannot be read: TypeError"),
        (lambda e: change_all(e, 0, "ten"), "state cannot be read: ValueError"),
        (lambda e: [[e[0][0], [[1.0], *e[0][1][1:]]], e[1][:2]], "state cannot be read: ValueError"),
        (lambda e: change_all(e, 3, [1.0, 2.0]), "reward cannot be read: .*2 values .* expected 1"),
        (lambda e: change_all(e, 2, [5]), "actions are .* expected whole numbers from 0 to 4"),
        (lambda e: change_all(e, 2, [float("nan")]), "actions are .* expected whole numbers from 0 to 4"),
        (lambda e: change_all(e, 4, True), "all agents are done in step 0, but it has 3 steps"),
        (lambda e: [e[0], change_all([e[1]], 3, [0.0])[0]], "agents' rewards differ"),
        (lambda e: make_smac(3, agents=3), "0001 has sizes .*'agents': 3.* 0000 has .*'agents': 2"),
    ],
)
def test_bad_files_are_refused(tmp_path, change, message):
    path = write_smac(tmp_path, [make_smac(3), change(make_smac(3))])
    with pytest.raises(DataError, match=message):
        read_all(LAYOUT, path)


def test_values_that_are_shared_do_not_fill_the_memory(tmp_path):
    """A small file of which every list is the same list, many times over."""
    vector = [0.0] * 100_000
    path = write_smac(tmp_path, [[[[vector, [0.0], [0], [0.0], True, [1]]] * 1000] * 2])
    assert (path / "0000").stat().st_size < 2**20
    with pytest.raises(DataError, match=r"state cannot be read: .*100000 values in each of 2000 steps"):
        LAYOUT.read(path, ReadOptions())


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("old", [False, True])
def test_code_in_files_is_not_run(tmp_path, old):
    ran = tmp_path / "ran"
    bad = make_smac(3)
    bad[0][1][0] = Payload(ran)
    path = write_smac(tmp_path / "a", [make_smac(3), bad], _use_new_zipfile_serialization=not old)
    assert LAYOUT.matches(path)
    with pytest.raises(DataError, match=r"holds code or objects \(\w+\.mkdir\).*it was not loaded") as error:
        read_all(LAYOUT, path)
    assert not ran.exists()
    assert len(str(error.value)) < 300 + len(str(path))
    # The same file does run it if it is loaded without care.
    torch.load(path / "0001", weights_only=False)
    assert ran.exists()


def test_a_changed_value_is_noticed(tmp_path):
    path = write_smac(tmp_path, [make_smac(3)]) / "0000"
    whole = path.read_bytes()
    at = whole.index(b"G?")  # a number, as pickles hold them
    path.write_bytes(whole[: at + 3] + b"\x07" + whole[at + 4 :])
    with pytest.raises(DataError, match=r"the checksum of '0000/data\.pkl' is wrong"):
        LAYOUT.read(tmp_path, ReadOptions())


def test_files_that_are_not_of_this_layout(tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        LAYOUT.read(tmp_path, ReadOptions())
    for content in (
        b"",
        b"text",
        b"\x80\x02]q\x00.",
        b"PK\x03\x04",
        b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N.",
    ):
        (tmp_path / "0000").write_bytes(content)
        assert not LAYOUT.matches(tmp_path)
        with pytest.raises(DataError, match="cannot be read"):
            LAYOUT.read(tmp_path, ReadOptions())


def test_files_far_too_large_are_not_loaded(tmp_path):
    with (tmp_path / "0000").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="1048576 MiB, expected at most 128"):
        LAYOUT.read(tmp_path, ReadOptions())


def test_only_its_own_files_match(tmp_path):
    found = [name for name, path in write_every_layout(tmp_path).items() if LAYOUT.matches(path)]
    assert found == ["omiga-smac"]


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_damaged_files_are_refused_or_sound(tmp_path, lists, old):
    path = write_smac(tmp_path, [make_smac(4, lists=lists)], _use_new_zipfile_serialization=not old)
    file, rng, refused = path / "0000", np.random.default_rng(0), 0
    whole = file.read_bytes()
    for _ in range(100):
        file.write_bytes(mutate(whole, rng))
        LAYOUT.matches(path)
        try:
            for block in LAYOUT.read(path, ReadOptions()).blocks:
                assert len(block.observation) == block.steps + 1
        except DataError:
            refused += 1
    assert refused > 30


def test_the_source_is_not_changed(tmp_path):
    path = write_smac(tmp_path / "a", [make_smac(3)])
    before = fingerprint(path)
    read_all(LAYOUT, path)
    assert fingerprint(path) == before


def test_files_in_the_order_of_their_names(tmp_path):
    (tmp_path / ".hidden").write_bytes(b"no episode")
    for name, length in (("b", 2), ("a", 1), ("c", 3)):
        torch.save(make_smac(length), tmp_path / name)
    assert read_all(LAYOUT, tmp_path).length.tolist() == [1, 2, 3]


def test_converted_to_a_dataset(tmp_path):
    episodes = [make_smac(3), make_smac(1, seed=1)]
    reading = LAYOUT.read(write_smac(tmp_path / "a", episodes), ReadOptions())
    convert(reading, tmp_path / "out", ReadOptions(), name="toy")
    data, expected = load_ted(tmp_path / "out"), read_slowly(episodes)
    assert data["next", "state"].tolist() == [one["next_state"] for one in expected]
    assert data["agents", "action"].tolist() == [one["action"] for one in expected]
    assert data["next", "reward"].flatten().tolist() == [one["reward"] for one in expected]
