"""Where episodes end, and what is done with last steps whose next observation nobody gave."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.errors import DataError

from .helpers import KINDS, as_flat, make_episodes, read_dataset, read_slowly


def without_next(flat):
    return {name: value for name, value in flat.items() if not name.startswith("next_")}


def test_truncated_last_steps_are_left_out_with_a_word(caplog):
    episodes = make_episodes("continuous", True)
    with caplog.at_level(logging.WARNING):
        dataset = OfflineDataset.from_arrays(
            **without_next(as_flat("continuous", episodes)), reward_scale=None
        )
    # Episodes of 3, 1, 4 and 2 steps; the first and third are truncated.
    expected = read_slowly(episodes)
    kept = [row for i, row in enumerate(expected) if i not in (2, 7)]
    for i in (1, 5):
        kept[i] = {**kept[i], "truncated": True}
    found = read_dataset(dataset)
    for row, want in zip(found, kept, strict=True):
        if want["terminated"]:  # what follows is never used, and is unknown
            want = {name: row[name] if name.startswith("next") else value for name, value in want.items()}
        assert row == want
    assert (
        "2 last steps of truncated episodes are left out" in caplog.text and "8 steps remain" in caplog.text
    )
    returns = [one["reward"].astype(float).sum() for one in episodes]
    assert dataset.card.behaviour_return["mean"] == pytest.approx(np.mean(returns))
    assert dataset.card.behaviour_return["std"] == pytest.approx(np.std(returns))
    assert (dataset.card.transitions, dataset.card.left_out_steps) == (8, 2)


def arrays(ends, *, terminated=(), **changes):
    """Six steps of two agents whose observations count the rows."""
    rows = np.arange(6.0)
    given = {
        "observation": np.stack([rows, rows], 1)[..., None],
        "action": np.zeros((6, 2, 1)),
        "reward": rows,
        "terminated": np.isin(rows, terminated),
        "truncated": np.isin(rows, ends),
    }
    return {**given, **changes}


def lengths(dataset):
    return np.bincount(dataset.data["episode"].numpy()).tolist()


def test_a_truncated_episode_of_one_step_is_gone_and_its_return_is_not():
    dataset = OfflineDataset.from_arrays(**arrays([0], terminated=[5]))
    assert lengths(dataset) == [5] and dataset.card.left_out_steps == 1
    assert dataset.card.behaviour_return == pytest.approx({"mean": 7.5, "std": 7.5})


def test_ends_by_number_of_the_episode():
    dataset = OfflineDataset.from_arrays(**arrays([]), episode=[7, 7, 7, 2, 2, 2])
    assert lengths(dataset) == [2, 2] and dataset.card.left_out_steps == 2
    assert dataset.data["next", "truncated"].flatten().tolist() == [False, True, False, True]


def test_the_last_episode_may_be_unfinished():
    following = arrays([])["observation"] + 1
    following[2] = 99.0
    dataset = OfflineDataset.from_arrays(**arrays([2]), next_observation=following)
    assert lengths(dataset) == [3, 3]
    assert dataset.data["next", "agents", "observation"][:, 0, 0].tolist() == [1, 2, 99, 4, 5, 6]


def test_both_flags_are_a_termination():
    dataset = OfflineDataset.from_arrays(**arrays([5], terminated=[5]))
    assert dataset.data["next", "terminated"].sum() == 1 and dataset.data["next", "truncated"].sum() == 0
    assert len(dataset) == 6


def test_time_limits_that_were_stored_as_terminations():
    options = {"timeout_is_terminal": False, "max_steps": 3}
    dataset = OfflineDataset.from_arrays(**arrays([], terminated=[2, 4, 5]), **options)
    assert dataset.data["next", "terminated"].flatten().tolist() == [False, False, False, True, True]
    assert dataset.card.left_out_steps == 1


def test_agents_flags_end_the_team_with_its_last():
    own = np.zeros((6, 2), bool)
    own[1, 0], own[2, 1], own[5] = True, True, True
    present = np.ones((6, 2), bool)
    present[2, 0] = False
    dataset = OfflineDataset.from_arrays(
        **arrays([], terminated=[]) | {"terminated": own}, agent_mask=present
    )
    assert lengths(dataset) == [3, 3]
    late = np.zeros((6, 2), bool)
    late[2, 1] = True
    given = arrays([]) | {"terminated": own & ~late, "truncated": late}
    dataset = OfflineDataset.from_arrays(**given, agent_mask=present)
    assert lengths(dataset) == [2, 3]


def test_rows_that_do_not_follow_each_other():
    following = arrays([])["observation"] + 1
    following[3] = 99.0
    with pytest.raises(DataError, match=r"'next_observation' of row 3 is not .* in 1 of 6 rows"):
        OfflineDataset.from_arrays(**arrays([5]), next_observation=following)
    dataset = OfflineDataset.from_arrays(**arrays([5]), next_observation=following, incomplete="truncated")
    assert lengths(dataset) == [4, 2] and dataset.card.left_out_steps == 0
    shuffled = OfflineDataset.from_arrays(
        **arrays([], terminated=[4]), next_observation=following, episode=np.arange(6)
    )
    assert lengths(shuffled) == [1] * 6 and shuffled.data["next", "terminated"].sum() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_returns_of_many_random_cuts(kind):
    """The sum of what is stored and what is left out is the sum of what was given, whatever the ends."""
    rng = np.random.default_rng(1)
    flat = as_flat(kind, make_episodes(kind, False))
    options = {"n_actions": {"discrete": 2, "groups": {"tower": 5}}.get(kind)}
    for _ in range(15):
        ends = rng.random(10) < 0.4
        ends[-1] = True
        given = without_next(flat) | {"terminated": ends & (rng.random(10) < 0.5)}
        given["truncated"] = ends & ~given["terminated"]
        parts = np.split(flat["reward"].astype(float), np.flatnonzero(ends)[:-1] + 1)
        alive = sum(len(part) > 1 or end for part, end in zip(parts, given["terminated"][ends], strict=True))
        if not alive:
            continue
        card = OfflineDataset.from_arrays(**given, **options).card
        assert card.behaviour_return["mean"] == pytest.approx(np.mean([part.sum() for part in parts]))
        assert card.transitions + card.left_out_steps == 10
        assert (card.left_out_steps, card.episodes) == (given["truncated"].sum(), alive)


def test_what_follows_a_time_out_is_not_the_next_episode():
    """Vector environments reset by themselves and return the first observation of the next episode."""
    reset = np.roll(arrays([])["observation"], -1, 0)
    with pytest.raises(
        DataError, match=r"of the truncated row 2 is the first 'observation' of the next episode"
    ):
        OfflineDataset.from_arrays(**arrays([2, 5]), next_observation=reset)
    # A termination has no use for it, and rows that the user cut are not of an environment's making.
    assert len(OfflineDataset.from_arrays(**arrays([5], terminated=[2]), next_observation=reset)) == 6
    assert (
        len(OfflineDataset.from_arrays(**arrays([]), next_observation=reset, episode=[0, 0, 0, 1, 1, 1])) == 6
    )


def test_two_episodes_may_meet_where_little_can_be_seen():
    """If things recur, one time-out that is followed by the start of the next episode is chance."""
    given = arrays([1, 3])
    places = np.array([0, 1, 2, 0, 1, 1], np.float32)
    given["observation"] = np.broadcast_to(places[:, None, None], given["observation"].shape).copy()
    following = np.array([1, 2, 0, 1, 1, 2], np.float32)  # as if the first time-out had led to the next start
    shaped = np.broadcast_to(following[:, None, None], given["observation"].shape).copy()
    assert len(OfflineDataset.from_arrays(**given, next_observation=shaped)) == 6
