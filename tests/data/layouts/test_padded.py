"""Padded episodes: what is padding is never read, and every episode ends where it ended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts import padded as module
from omiga_torchrl.data.layouts.padded import PADDED_FIELDS, padded_to_episodes, read_padded
from omiga_torchrl.errors import DataError


def make_padded(lengths, terminates, rows=None, *, final_filled=None, n_agents=2, seed=0):
    """PyMARL's arrays: garbage in all padding, so that reading it shows."""
    rng = np.random.default_rng(seed)
    rows = rows or max(lengths) + 1
    episodes = len(lengths)
    shape = (episodes, rows)
    filled, terminated = np.zeros((*shape, 1), np.int64), np.zeros((*shape, 1), np.uint8)
    for e, (length, ends) in enumerate(zip(lengths, terminates, strict=True)):
        last = final_filled is None or final_filled[e]
        filled[e, : length + int(last)] = 1
        terminated[e, length - 1] = ends and length > 0
    return {
        "actions": rng.integers(4, size=(*shape, n_agents, 1)),
        "actions_onehot": np.zeros((*shape, n_agents, 4), np.float32),
        "avail_actions": rng.integers(2, size=(*shape, n_agents, 4)),
        "filled": filled,
        "obs": rng.normal(size=(*shape, n_agents, 3)).astype(np.float32),
        "reward": rng.normal(size=(*shape, 1)).astype(np.float32),
        "state": rng.normal(size=(*shape, 5)).astype(np.float32),
        "terminated": terminated,
    }


def read_slowly(arrays):
    """Transitions and last observations of every episode, by plain Python."""
    out = []
    for e in range(len(arrays["filled"])):
        filled = int(arrays["filled"][e].sum())
        ends = [t for t in range(filled) if arrays["terminated"][e, t, 0]]
        length = ends[0] + 1 if ends else filled - 1
        if length < 1:
            continue
        final = length if length < filled else length - 1
        rows = [*range(length), final]
        out.append(
            {
                "observation": [arrays["obs"][e, t].tolist() for t in rows],
                "state": [arrays["state"][e, t].tolist() for t in rows],
                "action_mask": [(arrays["avail_actions"][e, t] == 1).tolist() for t in rows],
                "action": [arrays["actions"][e, t, :, 0].tolist() for t in range(length)],
                "reward": [float(arrays["reward"][e, t, 0]) for t in range(length)],
                "terminated": [bool(ends) and t == length - 1 for t in range(length)],
                "truncated": [not ends and t == length - 1 for t in range(length)],
            }
        )
    return out


def read_fast(episodes):
    parts = [episodes.part(i, i + 1) for i in range(len(episodes))]
    names = ("observation", "state", "action_mask", "action", "reward", "terminated", "truncated")
    return [{name: getattr(part, name).tolist() for name in names} for part in parts]


def test_by_hand():
    """Two steps until the time limit, then a termination in the first step whose end is not kept."""
    arrays = make_padded([2, 1], [False, True], final_filled=[True, False])
    arrays["obs"] = np.arange(12.0).reshape(2, 3, 2, 1)
    arrays["reward"] = np.arange(6.0).reshape(2, 3, 1)
    episodes = padded_to_episodes(arrays)
    assert episodes.length.tolist() == [2, 1]
    assert episodes.observation[..., 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [6, 7]]
    assert episodes.reward.tolist() == [0, 1, 3]
    assert episodes.terminated.tolist() == [False, False, True]
    assert episodes.truncated.tolist() == [False, True, False]
    assert episodes.action.dtype == np.int64 and episodes.action_mask.dtype == bool


@settings(max_examples=60, deadline=None)
@given(
    cases=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=6),
    extra=st.integers(0, 2),
    agents=st.integers(1, 3),
)
def test_any_episode_structure(cases, extra, agents):
    lengths, terminates, kept = (list(x) for x in zip(*cases, strict=True))
    arrays = make_padded(
        lengths, terminates, max(lengths) + 1 + extra, final_filled=kept, n_agents=agents, seed=len(cases)
    )
    episodes = padded_to_episodes(arrays)
    assert read_fast(episodes) == read_slowly(arrays)


def test_padding_is_never_read():
    arrays = make_padded([3, 1, 2], [True, False, True], 6)
    before = read_fast(padded_to_episodes(arrays))
    for name in ("obs", "state", "reward"):
        for e, last in enumerate((4, 2, 3)):
            arrays[name][e, last:] = np.nan
    arrays["actions"][1, 1:] = 99
    assert read_fast(padded_to_episodes(arrays)) == before


def test_rows_after_the_end_are_padding():
    arrays = make_padded([3], [True], 6)
    arrays["filled"][:] = 1
    arrays["terminated"][0, 4] = 1
    assert padded_to_episodes(arrays).length.tolist() == [3]


def test_terminations_in_padding_do_not_count():
    arrays = make_padded([3], [False], 6)
    arrays["terminated"][0, 4:] = 1
    episodes = padded_to_episodes(arrays)
    assert episodes.length.tolist() == [3] and not episodes.terminated.any()


@pytest.mark.parametrize(
    ("options", "terminated"),
    [({}, [0, 1, 0]), ({"timeout_is_terminal": True}, [1, 1, 1]),
     ({"timeout_is_terminal": False, "max_steps": 2}, [0, 0, 0])],
)  # fmt: skip
def test_time_outs_as_the_user_wants_them(options, terminated):
    arrays = make_padded([3, 2, 1], [False, True, False])
    episodes = padded_to_episodes(arrays, options=ReadOptions(**options))
    ends = np.cumsum([3, 2, 1]) - 1
    assert episodes.terminated[ends].tolist() == [bool(x) for x in terminated]
    assert (episodes.terminated ^ episodes.truncated)[ends].all()
    assert (episodes.terminated | episodes.truncated).sum() == 3


def test_other_shapes_and_types():
    arrays = make_padded([3, 1], [True, False])
    expected = read_fast(padded_to_episodes(arrays))
    for name in ("actions", "filled", "terminated", "reward"):
        arrays[name] = arrays[name][..., 0]
    arrays["actions"], arrays["avail_actions"] = arrays["actions"].astype(float), arrays["avail_actions"] == 1
    arrays["filled"], arrays["terminated"] = arrays["filled"].astype(float), arrays["terminated"] == 1
    assert read_fast(padded_to_episodes(arrays)) == expected
    arrays["obs"] = np.ones(arrays["obs"].shape, np.uint8)
    assert padded_to_episodes(arrays).observation.dtype == np.float32


def test_reward_per_agent():
    arrays = make_padded([2], [True])
    arrays["reward"] = np.array([[[1.0, 3.0], [2.0, 2.0], [9.0, 9.0]]])
    assert padded_to_episodes(arrays, options=ReadOptions(team_reward="sum")).reward.tolist() == [4, 4]
    with pytest.raises(DataError, match=r"team_reward='mean', 'sum' or 'first'"):
        padded_to_episodes(arrays)


def test_streams_in_blocks(monkeypatch):
    arrays = make_padded([3, 1, 4, 2, 0, 5], [True, False] * 3)
    per_episode = sum(a[0].nbytes for name, a in arrays.items() if name in PADDED_FIELDS)
    monkeypatch.setattr(module, "BLOCK_BYTES", 2 * per_episode)
    reading = read_padded(arrays, "file", ReadOptions())
    blocks = list(reading.blocks)
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert reading.steps == sum(block.steps for block in blocks) == 15
    assert reading.n_actions == 4
    assert [one for block in blocks for one in read_fast(block)] == read_slowly(arrays)


def test_a_block_of_padding_only_is_skipped(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    reading = read_padded(make_padded([1, 0, 2], [True] * 3), "file", ReadOptions())
    assert [block.steps for block in reading.blocks] == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: [a.pop("obs"), a.pop("state")], r"\['obs', 'state'\] are missing, found \['actions'"),
        (lambda a: a.update(obs=a["obs"][:1]), r"'actions' has shape \(2, 4, 2, 1\), 'obs' has \(1, "),
        (lambda a: a.update(reward=a["reward"][:, 1:]), r"'reward' has shape \(2, 3, 1\)"),
        (lambda a: a.update(state=a["state"][0]), r"'state' has shape \(4, 5\), expected 3 dimensions"),
        (lambda a: a.update(actions=a["actions"].repeat(2, -1)), r"'actions' .* expected \(2, 4, 2, 1\)"),
        (lambda a: a.update(avail_actions=a["avail_actions"][:, :, :1]), r"'avail_actions' has shape"),
        (lambda a: a.update(obs=a["obs"].astype("U")), r"'obs' has type <U32, expected numbers"),
        (lambda a: a.update(state=a["state"][..., :0]), r"'state' has shape \(2, 4, 0\), which"),
        (lambda a: a["filled"].__setitem__((1, 0), 0), r"'filled' has gaps in .*first in episode 1"),
        (lambda a: a["terminated"].__setitem__((0, 0), 3), r"'terminated' holds 3; expected zeros and ones"),
        (lambda a: a["actions"].__setitem__((0, 1), 4), r"actions are \[4, 4\] .* step 1; .* 0 to 3"),
        (lambda a: a["actions"].__setitem__((0, 1), -1), r"actions are \[-1, -1\] in .* step 1;"),
        (lambda a: a.update(actions=a["actions"] + 0.5), r"actions are .*whole numbers"),
        (lambda a: a.update(actions=a["actions"] * np.nan), r"actions are \[nan, nan\]"),
        (lambda a: a.update(filled=a["filled"] * np.nan), r"'filled' holds nan"),
    ],
)  # fmt: skip
def test_bad_arrays_are_refused(change, message):
    arrays = make_padded([3, 2], [True, False])
    change(arrays)
    with pytest.raises(DataError, match=rf"some\.h5.*{message}"):
        list(read_padded(arrays, "some.h5", ReadOptions()).blocks)


def test_all_findings_at_once():
    arrays = make_padded([3, 2], [True, False])
    arrays["state"], arrays["reward"] = arrays["state"][:1], arrays["reward"].astype("U")
    with pytest.raises(DataError, match=r"'reward' has type.*'state' has shape"):
        read_padded(arrays, "some.h5", ReadOptions())


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.uint8, bool])
def test_any_type_of_numbers_with_and_without_filled(one_hot, dtype):
    """Padding has no legal action; masks, flags and actions of any type are the same."""
    lengths, terminates = [3, 5, 2], [True, False, False]
    arrays = make_padded(lengths, terminates)
    filled = arrays["filled"].astype(bool)
    arrays["avail_actions"][..., 0] = 1
    arrays["avail_actions"] *= filled[..., None]
    arrays["terminated"] *= filled.astype(np.uint8)
    expected = padded_to_episodes(arrays)
    other = {name: value for name, value in arrays.items() if name != "filled"}
    other["avail_actions"], other["terminated"] = (
        other[name].astype(dtype) for name in ("avail_actions", "terminated")
    )
    if one_hot:
        other["actions"] = np.eye(4)[arrays["actions"][..., 0]].astype(dtype)
    elif dtype is not bool:
        other["actions"] = arrays["actions"].astype(dtype)
    (found,) = read_padded(other, "toy", ReadOptions()).blocks
    assert found.length.tolist() == lengths
    for name, values in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], values)


def test_actions_that_are_neither_indices_nor_one_hot():
    arrays = make_padded([3], [True])
    arrays["actions"] = np.full((*arrays["actions"].shape[:3], 4), 0.25)
    with pytest.raises(DataError, match=r"actions are .*0.25.* in 3 steps; expected an index or a one-hot"):
        padded_to_episodes(arrays)
