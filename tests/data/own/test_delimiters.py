"""Own data whose episodes end with a row that is no step, as in OMIGA's HDF5 files."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.errors import DataError

LENGTHS = (3, 2, 4)


def make_parts(*, one_hot=False, seed=0):
    """Steps of every episode, with an observation and a state more."""
    rng = np.random.default_rng(seed)
    for number, steps in enumerate(LENGTHS):
        last = np.arange(steps) == steps - 1
        action = rng.uniform(-1, 1, (steps, 2, 3))
        yield {
            "observation": rng.normal(size=(steps + 1, 2, 4)),
            "state": rng.normal(size=(steps + 1, 5)),
            "action": (action == action.max(-1, keepdims=True)).astype(np.int64) if one_hot else action,
            "reward": rng.normal(size=steps),
            "terminated": last & (number != 1),
            "truncated": last & (number == 1),
        }


def delimited(part, *, flag="delimiter", has_delimiter=True):
    """The same with one row a step, and one more at the end."""
    rows = dict(part)
    for name in ("action", "reward", "terminated", "truncated"):
        rows[name] = np.concatenate([part[name], np.zeros_like(part[name][:1])])
    for name in ("terminated", "truncated"):
        if flag == "delimiter":
            rows[name][-2:] = rows[name][-2:][::-1]
    return rows if has_delimiter else {name: values[:-1] for name, values in rows.items()}


def joined(parts):
    parts = list(parts)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def same(found, expected):
    for key in found.data.keys(True, True):
        np.testing.assert_array_equal(found.data[key], expected.data[key], err_msg=str(key))


@pytest.mark.parametrize("flag", ["delimiter", "step"])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("told", [None, True])
def test_delimiters_are_no_steps(flag, one_hot, told):
    parts = list(make_parts(one_hot=one_hot))
    expected = OfflineDataset.from_arrays(**joined(parts))
    found = OfflineDataset.from_arrays(
        **joined(delimited(part, flag=flag) for part in parts), delimiter_rows=told
    )
    same(found, expected)
    assert found.ends.dropped == {"delimiter rows": 3} and "3 delimiter rows" in str(found.ends)
    assert found.card.left_out_steps == 0
    assert found.card.behaviour_return == expected.card.behaviour_return


def test_episodes_by_number_without_a_flag():
    """Time-outs that only the numbers of episodes tell."""
    parts = [{**part, "terminated": part["terminated"] & False} for part in make_parts()]
    numbers = np.repeat(np.arange(3), LENGTHS)
    expected = OfflineDataset.from_arrays(**joined(parts), episode=numbers)
    rows = joined(delimited({**part, "truncated": part["truncated"] & False}) for part in parts)
    found = OfflineDataset.from_arrays(**rows, episode=np.repeat(np.arange(3), np.add(LENGTHS, 1)))
    same(found, expected)


def test_they_are_steps_if_the_user_says_so():
    rows = joined(map(delimited, make_parts()))
    found = OfflineDataset.from_arrays(**rows, delimiter_rows=False)
    # The time-out's last row is left out: what followed is unknown.
    assert len(found) == sum(LENGTHS) + 2 and not found.ends.dropped.get("delimiter rows")


def test_one_by_one_it_is_said_or_told(caplog):
    rows = [delimited(part) for part in make_parts()]
    found = OfflineDataset.from_episodes(iter(rows))
    assert len(found) == sum(LENGTHS) + 2
    assert "The last rows of all 3 episodes, and no others, have neither action nor reward" in caplog.text
    told = OfflineDataset.from_episodes(iter(rows), delimiter_rows=True)
    same(told, OfflineDataset.from_arrays(**joined(make_parts())))


def test_some_episodes_with_and_some_without(caplog):
    first, second, third = make_parts()
    rows = joined([delimited(first), delimited(second, flag="step", has_delimiter=False), delimited(third)])
    found = OfflineDataset.from_arrays(**rows)
    assert "2 episodes end with a row that has neither action nor reward" in caplog.text
    assert "and 1 do not; they are taken for steps" in caplog.text
    assert "delimiter rows" not in found.ends.dropped
    caplog.clear()
    OfflineDataset.from_arrays(**rows, delimiter_rows=False)
    assert "neither" not in caplog.text


def test_an_idle_episode_of_one_step_is_no_delimiter():
    rows = joined(map(delimited, make_parts()))
    alone = {name: np.concatenate([values, values[-1:]]) for name, values in rows.items()}
    alone["terminated"][-1] = True
    assert len(OfflineDataset.from_arrays(**alone)) == sum(LENGTHS) + 3


def test_what_follows_is_given_already():
    with pytest.raises(DataError, match="delimiter_rows=True, but what follows the last steps is given"):
        OfflineDataset.from_arrays(**joined(make_parts()), delimiter_rows=True)


def test_idle_steps_are_steps():
    """Actions of zero without a reward occur within episodes, too."""
    rows = joined(map(delimited, make_parts()))
    rows["action"][[0, 1, 5, 8]], rows["reward"][[0, 1, 5, 8]] = 0, 0
    assert len(OfflineDataset.from_arrays(**rows)) > sum(LENGTHS)
