"""Arrays, streams and rollouts: what goes on from one episode to the next, and what must not change."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, episodes_to_tensordict
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.opening import is_list, open_arrays, open_rollouts, open_stream
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal
from tests.data.conftest import make_episodes


def episode(length=3, **changes):
    rng = np.random.default_rng(length)
    given = {
        "observation": rng.normal(size=(length + 1, 2, 3)), "action": rng.uniform(-1, 1, (length, 2, 1)),
        "reward": np.ones(length), "terminated": np.zeros(length),
    }  # fmt: skip
    return {**given, **changes}


def lists(*lengths):
    parts = [episode(length) for length in lengths]
    return {name: [one[name] for one in parts] for name in parts[0]}


def read(opened):
    reading = opened()
    return Episodes.concatenate(list(reading.blocks)), reading


def test_lists_and_streams_give_the_same():
    found, reading = read(open_arrays(lists(3, 1, 4), Facts("here")))
    streamed, _ = read(open_stream(iter([episode(length) for length in (3, 1, 4)]), Facts("here")))
    assert_equal(found, streamed)
    assert found.length.tolist() == [3, 1, 4] and found.truncated.sum() == 3
    assert reading.n_actions == {} and reading.agents == {"agents": ()}


def test_arrays_can_be_read_again():
    opened = open_arrays(lists(3, 2), Facts("here"))
    assert_equal(read(opened)[0], read(opened)[0])


def test_streams_take_episodes_and_tensordicts_as_they_are():
    whole = make_episodes()
    found, _ = read(open_stream([whole.part(0, 1), whole.part(1, 3)], Facts("here")))
    assert_equal(found, whole)
    data = episodes_to_tensordict(make_episodes((3,)))
    found, _ = read(open_stream([data], Facts("here")))
    np.testing.assert_array_equal(found.observation, make_episodes((3,)).observation)
    with pytest.raises(DataError, match=r"here, episode 1 is of the type int"):
        read(open_stream([data, 3], Facts("here")))


def test_rollouts_are_read_run_by_run():
    parts = [make_episodes((3,)), make_episodes((2,), seed=1)]
    found, _ = read(open_rollouts([episodes_to_tensordict(one) for one in parts], Facts("here")))
    np.testing.assert_array_equal(found.observation, Episodes.concatenate(parts).observation)
    assert found.length.tolist() == [3, 2]


def test_ends_within_an_episode_are_an_error_and_between_runs_they_are_not():
    with pytest.raises(DataError, match="here, episode 1"):
        read(open_arrays({**lists(3, 3), "terminated": [np.zeros(3), np.array([0, 1, 0])]}, Facts("here")))
    ends = np.array([0, 0, 1, 0, 0, 1])
    rng = np.random.default_rng(0)
    flat = {
        "observation": rng.normal(size=(6, 2, 3)), "action": rng.normal(size=(6, 2, 1)),
        "reward": np.ones(6), "terminated": ends,
    }  # fmt: skip
    assert read(open_arrays(flat, Facts("here")))[0].length.tolist() == [3, 3]


def test_every_list_has_one_entry_an_episode():
    good = lists(3, 2)
    for name, value, told in (
        ("reward", np.ones(5), r"'reward' is a ndarray.*np\.asarray"),
        ("reward", [np.ones(3)], "'reward' is a list of 1"),
        ("episode", [0, 1], "'episode' is a list of 2.*Leave it out"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=f"'observation' is a list of 2 episodes, {told}"):
            read(open_arrays({**good, name: value}, Facts("here")))
    found, _ = read(open_arrays({**good, "truncated": None, "state": None}, Facts("here")))
    assert len(found) == 2
    tuples, _ = read(open_arrays({name: tuple(value) for name, value in good.items()}, Facts("here")))
    assert_equal(tuples, found)


def test_what_is_a_list_of_episodes():
    assert is_list([np.zeros((3, 2))]) and is_list(())
    assert not is_list(np.zeros((3, 2))) and not is_list([{"a": np.zeros(3)}])


def test_numbers_of_actions_stay_the_same():
    one_hot = [np.eye(3)[[[0, 1], [2, 0]]].astype(int), np.eye(4)[[[0, 1], [2, 0]]].astype(int)]
    episodes = [episode(2, action=action) for action in one_hot]
    _, reading = read(open_stream([episodes[0], episodes[0]], Facts("here")))
    assert reading.n_actions == {"agents": 3}
    with pytest.raises(DataError, match="'action' must be of 3 actions as in the episodes before, got 4"):
        read(open_stream(episodes, Facts("here")))


def test_agents_and_groups_stay_the_same():
    def of(*names):
        values = episode(2)
        for entry in ("observation", "action"):
            values[entry] = dict.fromkeys(names, values[entry][:, 0])
        return values

    _, reading = read(open_stream([of("a", "b"), of("a", "b")], Facts("here")))
    assert reading.agents == {"agents": ("a", "b")}
    with pytest.raises(DataError, match=r"must be of the agents \('a', 'b'\) as before, got \('a', 'c'\)"):
        read(open_stream([of("a", "b"), of("a", "c")], Facts("here")))

    def grouped(*names):
        values = episode(2)
        for entry in ("observation", "action"):
            values[entry] = dict.fromkeys(names, values[entry])
        return values

    read(open_stream([grouped("x", "y"), grouped("x", "y")], Facts("here")))
    with pytest.raises(DataError, match="must have the groups of the episodes before, got none of y"):
        read(open_stream([grouped("x", "y"), grouped("x")], Facts("here")))


def steps(*seen):
    """Steps as dicts of the agents that are there."""
    return {
        "observation": [dict.fromkeys(names, np.ones(2)) for names in seen],
        "action": [dict.fromkeys(names, np.ones(1)) for names in seen],
        "reward": np.ones(len(seen)), "terminated": np.arange(len(seen)) == len(seen) - 1,
    }  # fmt: skip


def test_agents_that_come_and_go_in_any_episode_get_a_mask_in_all():
    def of(*episodes):
        return {name: [one[name] for one in episodes] for name in episodes[0]}

    always, _ = read(open_arrays(of(steps("ab", "ab"), steps("ab")), Facts("here")))
    assert always.agent_mask is None
    later, _ = read(open_arrays(of(steps("ab", "ab"), steps("a")), Facts("here")))
    assert later.agent_mask[:2].all() and later.agent_mask[3].tolist() == [True, False]
    alone, _ = read(open_arrays(steps("ab", "b"), Facts("here")))
    assert alone.agent_mask.tolist() == [[True, True], [False, True], [False, True]]
    assert read(open_arrays(steps("ab", "ab"), Facts("here")))[0].agent_mask is None


def test_no_step_left_is_an_error():
    one = {"observation": np.zeros((1, 2, 3)), "action": np.zeros((1, 2, 1)), "reward": np.ones(1)}
    with pytest.raises(DataError, match="here: no step is left"):
        read(open_arrays({**one, "terminated": np.zeros(1), "truncated": np.ones(1)}, Facts("here")))
