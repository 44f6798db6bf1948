"""Flags of a vault's rows by hand: ends of the team, idle rows, and agents that take no part."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data.layouts import vault_ends
from omiga_torchrl.data.layouts.row_ends import RowEnds
from omiga_torchrl.data.layouts.vault_ends import scan_rows
from omiga_torchrl.errors import DataError
from tests.data.layouts.helpers_vault import in_memory

ROWS, AGENTS = 5, 3


def make(**changes):
    """Rows of three agents that all act and see something, with a reward of one each and without an end."""
    arrays = {
        "observations": np.ones((ROWS, AGENTS, 2), np.float32),
        "actions": np.full((ROWS, AGENTS, 2), 0.5, np.float32),
        "rewards": np.ones((ROWS, AGENTS), np.float32),
        "terminals": np.zeros((ROWS, AGENTS), bool),
    }
    return {**arrays, **changes}


def flags(*rows):
    """Where rows have a flag: a text of zeros and ones for every row."""
    return np.array([[one == "1" for one in row] for row in rows])


def scan(arrays, *, discrete=False, own=False):
    return scan_rows(in_memory(arrays), discrete=discrete, own=own, where="here")


def ends_of(rows):
    return [
        "t" if terminated else "l" if truncated else "."
        for terminated, truncated in zip(rows.facts.terminated, rows.facts.truncated, strict=True)
    ]


@pytest.mark.parametrize("size", [10**6, 100, 1])
def test_a_team_ends_where_all_its_agents_do(monkeypatch, size):
    monkeypatch.setattr(vault_ends, "_BYTES", size)
    terminals = flags("110", "111", "000", "100", "111")
    truncations = flags("000", "000", "111", "011", "100")
    rows = scan(make(terminals=terminals, truncations=truncations))
    assert ends_of(rows) == [".", "t", "l", "l", "t"]
    assert (rows.ended == (terminals | truncations)).all() and rows.acted.all() and not rows.absent.any()
    assert ends_of(scan(make(terminals=terminals.astype(np.float32)))) == [".", "t", ".", ".", "t"]


def test_rows_without_action_and_reward_are_idle():
    actions, rewards = np.zeros((ROWS, AGENTS, 2), np.float32), np.zeros((ROWS, AGENTS), np.float32)
    actions[1, 2, 1], actions[4, 0, 0] = -1, 1
    rewards[2, 1], rewards[4, 2] = -1, 1
    rows = scan(make(actions=actions, rewards=rewards))
    assert rows.facts.idle.tolist() == [True, False, False, True, False]
    assert np.argwhere(rows.acted).tolist() == [[1, 2], [4, 0]]
    index = scan(make(actions=(actions != 0).any(2).astype(np.int32), rewards=rewards), discrete=True)
    assert (index.acted == rows.acted).all() and (index.facts.idle == rows.facts.idle).all()


def test_what_else_is_told_of_rows():
    observations = np.zeros((ROWS, AGENTS, 2), np.float32)
    observations[3, 1, 1] = -1
    truncations = flags("000", "111", "000", "000", "111")
    arrays = make(observations=observations, truncations=truncations)
    facts = scan(arrays).facts
    assert facts.is_empty(0, 3) and facts.is_empty(4, 5) and not facts.is_empty(2, 4)
    assert facts.continuous and facts.delimiter is None
    facts = scan(arrays, discrete=True, own=True).facts
    assert not facts.continuous and facts.delimiter.tolist() == [False, True, False, False, True]
    long = {name: np.repeat(values, 4, 0) for name, values in make().items()}
    long["observations"] = np.tile(np.arange(5.0), 4)[:, None, None] * np.ones((1, AGENTS, 1))
    assert scan(long).facts.find_limit(np.zeros(20, bool)) == 5


@pytest.mark.parametrize("name", ["infos.agent_mask", "agent_mask"])
def test_agents_that_the_mask_leaves_out_need_no_end(monkeypatch, name):
    mask = flags("111", "110", "000", "011", "101")
    terminals = flags("000", "110", "000", "110", "101")
    for size in (10**6, 1):
        monkeypatch.setattr(vault_ends, "_BYTES", size)
        rows = scan(make(terminals=terminals, **{name: mask.astype(np.float32)}))
        # Where nobody takes part all do.
        assert (rows.absent == ~flags("111", "110", "111", "011", "101")).all()
        assert ends_of(rows) == [".", "t", ".", ".", "t"]
    with pytest.raises(DataError, match="here: 'agent_mask' holds other values"):
        scan(make(**{name: mask / 2}))


def test_agents_without_a_legal_action_need_no_end():
    legals = np.ones((ROWS, AGENTS, 4), bool)
    legals[2, 1:], legals[3] = False, False
    terminals = flags("100", "110", "100", "100", "111")
    arrays = make(actions=np.ones((ROWS, AGENTS), np.int32), terminals=terminals, **{"infos.legals": legals})
    rows = scan(arrays, discrete=True)
    assert np.argwhere(rows.absent).tolist() == [[2, 1], [2, 2]]
    assert ends_of(rows) == [".", ".", "t", ".", "t"]
    # Of continuous actions legal ones say nothing, and a mask says more.
    assert not scan(arrays).absent.any()
    mask = np.ones((ROWS, AGENTS), bool)
    assert not scan({**arrays, "agent_mask": mask}, discrete=True).absent.any()


def unused_slot(*, seen=0.0):
    """Agent 2 never acts, and sees the same in all rows; the others terminate in row 3 and time out in 4."""
    arrays = make(
        terminals=flags("000", "000", "000", "110", "000"),
        truncations=flags("000", "000", "000", "000", "110"),
    )
    arrays["actions"][:, 2] = 0
    arrays["observations"][:, 2] = seen
    return arrays


@pytest.mark.parametrize("size", [10**6, 1])
@pytest.mark.parametrize("seen", [0.0, np.inf, np.nan])
def test_slots_that_are_never_used_need_no_end(monkeypatch, seen, size):
    monkeypatch.setattr(vault_ends, "_BYTES", size)
    rows = scan(unused_slot(seen=seen))
    assert ends_of(rows) == [".", ".", ".", "t", "l"] and (rows.absent == [False, False, True]).all()


def test_slots_that_see_act_or_end_are_used(monkeypatch):
    for size in (10**6, 1):
        monkeypatch.setattr(vault_ends, "_BYTES", size)
        sees, acts, ends = unused_slot(), unused_slot(), unused_slot()
        sees["observations"][4, 2, 1] = -1
        acts["actions"][0, 2, 0] = 1
        ends["truncations"][0, 2] = True
        for arrays in (sees, acts, ends):
            rows = scan(arrays)
            assert ends_of(rows) == ["."] * 5 and not rows.absent.any()
    # Where nobody acts, idle agents are like all others.
    nobody = unused_slot()
    nobody["actions"][:] = 0
    assert not scan(nobody).absent.any()


def test_rows_in_which_nobody_is_left_are_no_ends():
    mask = flags("111", "111", "001", "111", "111")
    rows = scan({**unused_slot(), "agent_mask": mask})
    assert ends_of(rows) == [".", ".", ".", "t", "l"]


def find_absent(arrays, starts, lengths, **options):
    files = in_memory(arrays)
    rows = scan_rows(files, discrete=False, own=False, where="here", **options)
    none = np.zeros(len(starts), bool)
    return rows.find_absent(files, RowEnds(np.array(starts, int), np.array(lengths, int), none, none, none))


def test_agents_that_are_gone_once_the_episodes_are_known():
    assert find_absent(make(), [0], [5]) is None
    dead = make(terminals=flags("000", "100", "000", "111", "111"))
    dead["actions"][2:4, 0], dead["observations"][2:4, 0] = 0, 0
    present = find_absent(dead, [0, 4], [4, 1])
    assert np.argwhere(~present).tolist() == [[2, 0], [3, 0]]
    # It begins anew with an episode.
    assert find_absent(dead, [0, 2], [2, 3]) is None
    assert find_absent(dead, [], []) is None


def test_what_is_told_of_agents_is_all_there_is():
    dead = make(terminals=flags("000", "100", "000", "111", "111"))
    dead["actions"][2:4, 0], dead["observations"][2:4, 0] = 0, 0
    for name in ("infos.agent_mask", "agent_mask"):
        mask = np.ones((ROWS, AGENTS), bool)
        assert find_absent({**dead, name: mask}, [0, 4], [4, 1]).all()
        mask[1, 2] = False
        assert (find_absent({**dead, name: mask}, [0, 4], [4, 1]) == mask).all()
    assert find_absent({**dead, "infos.legals": np.ones((ROWS, AGENTS, 4))}, [0, 4], [4, 1]) is None
