"""Lines of RLlib's files, put together by hand: pieces of episodes, agents, columns, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from omiga_torchrl.data.layouts.rllib_lines import is_batch, json_files, read_episodes
from omiga_torchrl.errors import DataError


def columns(rewards, /, *, end="t", episode=None, first=0, **more):
    """Columns of some rows whose observations are ten times the rewards; ``end`` is the last row's.

    Args:
        rewards: one a row.
        end: "t" terminated, "l" truncated, "." neither.
        episode: its number, or one a row; none by default.
        first: number of the first step.
        **more: other columns; ``None`` leaves one out.
    """
    rows = len(rewards)
    last = [step == rows - 1 for step in range(rows)]
    found = {
        "obs": [[10.0 * reward, 1.0] for reward in rewards],
        "actions": [[reward / 2] for reward in rewards],
        "rewards": list(rewards),
        "terminateds": [one and end == "t" for one in last],
        "truncateds": [one and end == "l" for one in last],
        "t": list(range(first, first + rows)),
    }
    if episode is not None:
        found["eps_id"] = episode if isinstance(episode, list) else [episode] * rows
    return {name: values for name, values in {**found, **more}.items() if values is not None}


def single(*args, **options):
    return {"type": "SampleBatch", **columns(*args, **options)}


def team(**policies):
    return {"type": "MultiAgentBatch", "policy_batches": policies}


def read(folder, *batches):
    """Episodes of one file, a line each; texts are lines as they are."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in batches]
    (folder / "a.json").write_text("\n".join(lines))
    return list(read_episodes(folder / "a.json"))


def rewards(episodes):
    return [one.values["rewards"].tolist() for one in episodes]


def refuse(folder, message, *batches):
    with pytest.raises(DataError, match=message):
        read(folder, *batches)


def test_files_of_a_folder(tmp_path):
    for name in ("b.json", "a.jsonl", "c.txt"):
        (tmp_path / name).write_text(json.dumps(single([len(name)])))
    assert json_files(tmp_path) == [tmp_path / "a.jsonl", tmp_path / "b.json"]
    assert json_files(tmp_path / "a.jsonl") == [tmp_path / "a.jsonl"]
    assert json_files(tmp_path / "c.txt") == []
    assert rewards(read_episodes(tmp_path)) == [[[7]], [[6]]]
    assert is_batch(tmp_path / "c.txt")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"type": "SampleBatch"', True),
        ('  \n{"type":"MultiAgentBatch"', True),
        ('{"a": "' + "x" * 4000 + '", "type": "SampleBatch"', True),
        ('{"a": "' + "x" * 4096 + '", "type": "SampleBatch"', False),
        ('[{"type": "SampleBatch"', False),
        ('{"type": "Batch"', False),
        ("", False),
    ],
)
def test_what_begins_as_a_batch(tmp_path, text, found):
    (tmp_path / "a").write_text(text)
    assert is_batch(tmp_path / "a") == found


def test_columns_of_a_single_agent(tmp_path):
    batch = single(
        [1.0, 2.0], new_obs=[[20, 1], [30, 1]], action_dist_inputs=[[0, 1], [2, 3]], infos=[{}, {}]
    )
    (one,) = read(tmp_path, batch)
    assert one.where == f"OfflineDataset: {tmp_path / 'a.json'}, line 1, episode -1"
    assert set(one.values) == {
        "obs", "new_obs", "actions", "rewards", "terminateds", "truncateds", "action_dist_inputs",
    }  # fmt: skip
    assert one.values["obs"].tolist() == [[[10, 1]], [[20, 1]]]
    assert one.values["new_obs"].tolist() == [[[20, 1]], [[30, 1]]]
    assert one.values["actions"].tolist() == [[[0.5]], [[1]]]
    assert one.values["terminateds"].dtype == bool and one.values["terminateds"].tolist() == [[False], [True]]


def test_numbers_without_features_become_vectors(tmp_path):
    (one,) = read(tmp_path, single([1, 2], obs=[3, 4], new_obs=[4, 5], actions=[0.5, 0.25]))
    assert one.values["obs"].tolist() == [[[3]], [[4]]] and one.values["new_obs"].shape == (2, 1, 1)
    assert one.values["actions"].tolist() == [[[0.5]], [[0.25]]]
    (one,) = read(tmp_path, single([1, 2], actions=[2, 0]))
    assert one.values["actions"].tolist() == [[2], [0]]


def test_pieces_of_several_episodes(tmp_path):
    found = read(
        tmp_path,
        single([1, 2], end=".", episode=7),
        "",
        single([5, 6, 3, 9], end="l", episode=[8, 8, 7, 9], first=0, t=[0, 1, 2, 0]),
        single([7, 8], episode=8, first=2),
    )
    # In the order in which they end; the one without an end comes last.
    assert rewards(found) == [[[9]], [[5], [6], [7], [8]], [[1], [2], [3]]]
    assert [one.where.rpartition(", ")[2] for one in found] == ["episode 9", "episode 8", "episode 7"]
    assert "line 3" in found[0].where and "line 4" in found[1].where and ", line" not in found[2].where


def test_without_numbers_flags_tell_episodes_apart(tmp_path):
    flags = {"terminateds": None, "truncateds": None, "t": None}
    found = read(
        tmp_path,
        single([1, 2, 3], dones=[0, 1, 0], **flags),
        single([4, 5], dones=[True, True], **flags),
        single([6], dones=[False], **flags),
    )
    assert rewards(found) == [[[1], [2]], [[3], [4]], [[5]], [[6]]]
    assert found[0].values["dones"].tolist() == [[False], [True]]


def test_an_episode_that_goes_on_after_its_end(tmp_path):
    ended = single([1], episode=3)
    refuse(tmp_path, "line 2: episode 3 goes on after its end", ended, single([2], episode=3, first=1))
    refuse(tmp_path, "line 1: episode 3 goes on", single([1, 2], episode=3, truncateds=[True, False]))
    # Another file may use the same number again.
    for name in "ab":
        (tmp_path / f"{name}.json").write_text(json.dumps(ended))
    assert len(list(read_episodes(tmp_path))) == 2


def test_agents_come_in_the_order_of_their_names(tmp_path):
    numbers = {"agent_index": [1, 0, 0, 1], "terminateds": [False, False, True, True], "t": [0, 0, 1, 1]}
    (one,) = read(tmp_path, team(b=columns([5, 6]), a=columns([1, 2, 3, 4], **numbers)))
    assert one.values["rewards"].tolist() == [[2, 1, 5], [3, 4, 6]]
    assert one.values["obs"].tolist() == [[[20, 1], [10, 1], [50, 1]], [[30, 1], [40, 1], [60, 1]]]
    two = read(tmp_path, team(b=columns([5], end="."), a=columns([1], end=".")),
               team(a=columns([2], first=1), b=columns([6], first=1)))  # fmt: skip
    assert rewards(two) == [[[1, 5], [2, 6]]]


def test_agents_that_come_and_go_are_refused(tmp_path):
    message = "agents .* do not take part in the same steps of episode"
    refuse(tmp_path, f"line 1: the {message} -1", team(a=columns([1, 2]), b=columns([1])))
    both = team(a=columns([1, 2], episode=[4, 5], t=[0, 0]), b=columns([1], episode=4))
    refuse(tmp_path, f"{message} 5", both)
    refuse(tmp_path, f"{message} -1", team(a=columns([1, 2]), b=columns([1, 2], truncateds=[True, False])))
    lines = team(a=columns([1], end="."), b=columns([1], end=".")), team(a=columns([2], first=1))
    refuse(tmp_path, "line 2, episode -1: agents or columns change within it", *lines)


@pytest.mark.parametrize("first", ["t", "l", "."])
def test_agents_that_end_before_others_are_refused(tmp_path, first):
    """Any one of the flags may differ."""
    for second in {"t", "l", "."} - {first}:
        lines = team(a=columns([1, 2], end=first), b=columns([3, 4], end=second))
        refuse(tmp_path, "episode -1: some agents end before others", lines)
    assert len(read(tmp_path, team(a=columns([1, 2], end=first), b=columns([3, 4], end=first)))) == 1


def test_columns_that_change_are_refused(tmp_path):
    message = "agents or columns change within it, or agents .* have other spaces"
    open_end, rest = single([1.5], end="."), {"first": 1}
    refuse(tmp_path, message, open_end, single([2.5], obs=[[1.0, 2.0, 3.0]], **rest))
    refuse(tmp_path, message, open_end, single([2.5], actions=[1], **rest))
    refuse(tmp_path, message, open_end, single([2.5], new_obs=[[1.0, 2.0]], **rest))
    refuse(tmp_path, message, team(a=columns([1.5]), b=columns([1.5], obs=[[1.0]])))
    assert rewards(read(tmp_path, open_end, single([2.5], **rest))) == [[[1.5], [2.5]]]


def test_steps_follow_each_other(tmp_path):
    for first in (0, 1, 3):
        lines = single([1, 2], end="."), single([3], first=first)
        refuse(tmp_path, "its steps 't' do not follow each other", *lines)
    assert len(read(tmp_path, single([1, 2], first=5))) == 1


def test_columns_that_do_not_fit_are_refused(tmp_path):
    refuse(tmp_path, r"line 1: \['rewards'\] are missing", single([1], rewards=None))
    refuse(tmp_path, r"\['terminateds', .*\] are missing", single([1], terminateds=None, truncateds=None))
    refuse(tmp_path, r"line 1: \['obs', 'new_obs'\] are packed", single([1], obs="BCJN", new_obs="BCJN"))
    refuse(tmp_path, r"'obs' is .* of shape \(1, 2\), expected 2 rows", single([1, 2], obs=[[1, 2]]))
    refuse(tmp_path, "'actions' is <U1 of shape .* expected 1 rows of numbers", single([1], actions=["a"]))
    refuse(tmp_path, "'terminateds' holds other values than true and false", single([1], terminateds=[2]))
    deep = [[[1.0]], [[2.0]]]
    for name in ("obs", "new_obs", "actions", "action_dist_inputs"):
        refuse(tmp_path, rf"\['{name}'\] have too many dimensions", single([1, 2], **{name: deep}))
    for name in ("rewards", "truncateds", "t"):
        refuse(tmp_path, rf"\['{name}'\] have too many dimensions", single([1, 2], **{name: [[0], [0]]}))
    refuse(tmp_path, "line 2 is no batch of RLlib's", single([1]), '{"type": "SampleBatch", ')
    refuse(tmp_path, "no batch of RLlib's.*type is 'Batch'", {"type": "Batch", "policy_batches": {}})
    assert rewards(read(tmp_path, single([1], new_obs=None, infos="packed"))) == [[[1]]]


def test_no_rows_are_no_episode(tmp_path):
    assert read(tmp_path, single([]), "  ", single([1])) and not read(tmp_path, "")
    assert np.shape(read(tmp_path, team(a=columns([]), b=columns([1])))[0].values["rewards"]) == (1, 1)
