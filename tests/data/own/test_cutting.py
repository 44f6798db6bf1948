"""Runs are cut into episodes: where they end, what was seen last, and what has to be left out."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, ReadOptions
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.own import cutting
from omiga_torchrl.data.own.cutting import cut_run, find_episodes
from omiga_torchrl.data.own.facts import Facts
from omiga_torchrl.data.own.runs import read_run
from omiga_torchrl.errors import DataError

SEEN = np.array([0.0, 1, 2, 10, 11, 20])
AFTER = np.array([1.0, 2, 3, 11, 12, 21])
ENDS = np.array([0, 0, 1, 0, 1, 0])  # of three episodes of 3, 2 and 1 steps


def wide(values):
    """One feature of two agents; the second one sees the negative."""
    return np.stack([values, -values], -1)[..., None]


def run_of(**changes):
    given = {
        "observation": wide(SEEN), "action": wide(np.arange(6.0)), "reward": 2.0 ** np.arange(6),
        "terminated": np.zeros(6), "truncated": ENDS,
    }  # fmt: skip
    return read_run({**given, **changes}, Facts("here"), "here")


def cut(run, **options):
    """The episodes in one piece, and what was left out."""
    chosen, left_out = ReadOptions(**options), LeftOut()
    length = find_episodes(run, chosen)
    blocks = list(cut_run(run, length, chosen, left_out))
    return (Episodes.concatenate(blocks) if blocks else None), left_out


def observed(episodes):
    return episodes.observation[:, 0, 0].tolist()


def test_what_follows_is_given_beside():
    episodes, left_out = cut(run_of(next_observation=wide(AFTER)))
    assert observed(episodes) == [0, 1, 2, 3, 10, 11, 12, 20, 21]
    assert (episodes.observation[:, 1] == -episodes.observation[:, 0]).all()
    assert episodes.length.tolist() == [3, 2, 1] and left_out.steps == 0
    assert episodes.reward.tolist() == [1, 2, 4, 8, 16, 32]
    assert episodes.truncated.tolist() == [False, False, True, False, True, True]
    assert not episodes.terminated.any()


def test_rows_may_be_one_more_for_every_episode():
    rows = np.array([0.0, 1, 2, 3, 10, 11, 12, 20, 21])
    episodes, left_out = cut(run_of(observation=wide(rows), state=rows[:, None]))
    assert observed(episodes) == rows.tolist() and episodes.state[:, 0].tolist() == rows.tolist()
    assert left_out.steps == 0 and episodes.action[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_without_it_truncated_last_steps_are_left_out():
    episodes, left_out = cut(run_of())
    assert observed(episodes) == [0, 1, 2, 10, 11]
    assert episodes.reward.tolist() == [1, 2, 8] and episodes.length.tolist() == [2, 1]
    assert episodes.action[:, 0, 0].tolist() == [0, 1, 3]
    assert left_out.steps == 3
    assert np.concatenate(left_out.rewards).tolist() == [4, 16]
    assert np.concatenate(left_out.single).tolist() == [32]


def test_terminated_last_steps_need_nothing_behind_them():
    episodes, left_out = cut(run_of(terminated=[0, 0, 1, 0, 0, 0], truncated=[0, 0, 0, 0, 1, 1]))
    assert observed(episodes) == [0, 1, 2, 2, 10, 11]
    assert episodes.terminated.tolist() == [False, False, True, False] and left_out.steps == 2
    assert episodes.truncated.tolist() == [False, False, False, True]


def test_both_flags_are_a_termination():
    episodes, _ = cut(run_of(terminated=[0, 0, 1, 0, 0, 0], next_observation=wide(AFTER)))
    assert episodes.terminated.tolist() == [False, False, True, False, False, False]
    assert episodes.truncated.tolist() == [False, False, False, False, True, True]


def test_masks_states_and_own_rewards_are_cut_alike():
    mask = np.arange(12).reshape(6, 2) % 5 > 0
    legal = np.arange(36).reshape(6, 2, 3) % 4 > 0
    run = run_of(
        next_observation=wide(AFTER), agent_mask=mask, next_agent_mask=~mask, action_mask=legal,
        next_action_mask=~legal, state=SEEN[:, None], next_state=AFTER[:, None],
        agent_reward=np.arange(12.0).reshape(6, 2),
    )  # fmt: skip
    episodes, _ = cut(run)
    order, last = np.array([0, 1, 2, 2, 3, 4, 4, 5, 5]), np.array([3, 6, 8])
    group = episodes.groups["agents"]
    for found, values in ((group.agent_mask, mask), (group.action_mask, legal)):
        expected = values[order]
        expected[last] = ~expected[last]
        np.testing.assert_array_equal(found, expected)
    assert episodes.state[:, 0].tolist() == observed(episodes)
    assert group.reward.tolist() == np.arange(12.0).reshape(6, 2).tolist()
    left, _ = cut(run_of(agent_reward=np.arange(12.0).reshape(6, 2)))
    assert left.groups["agents"].reward.tolist() == [[0, 1], [2, 3], [6, 7]]


def test_what_follows_must_be_known_of_all_arrays_or_of_none():
    with pytest.raises(
        DataError, match=r"of 3 truncated episodes \['observation'\] are known and \['state'\]"
    ):
        cut(run_of(next_observation=wide(AFTER), state=np.zeros((6, 2))))
    ended = {"terminated": [0, 0, 1, 0, 1, 1], "truncated": np.zeros(6)}
    episodes, left_out = cut(run_of(next_observation=wide(AFTER), state=np.zeros((6, 2)), **ended))
    assert observed(episodes) == [0, 1, 2, 3, 10, 11, 12, 20, 21] and left_out.steps == 0


def test_blocks_are_cut_one_after_the_other(monkeypatch):
    whole, _ = cut(run_of(next_observation=wide(AFTER)))
    monkeypatch.setattr(cutting, "block_spans", lambda lengths, size: iter([(0, 1), (1, 2), (2, 3)]))
    for following in ({"next_observation": wide(AFTER)}, {}):
        run, left_out = run_of(**following), LeftOut()
        length = find_episodes(run, ReadOptions())
        blocks = list(cut_run(run, length, ReadOptions(), left_out))
        assert [len(block) for block in blocks] == ([1, 1, 1] if following else [1, 1])
        if following:
            assert observed(Episodes.concatenate(blocks)) == observed(whole)
        assert left_out.steps == (0 if following else 3)
    rows = np.array([0.0, 1, 2, 3, 10, 11, 12, 20, 21])
    longer, _ = cut(run_of(observation=wide(rows)))
    assert observed(longer) == rows.tolist()


def test_jumps_within_an_episode_are_an_error_or_its_end():
    after = AFTER.copy()
    after[0] = 5
    run = run_of(next_observation=wide(after))
    with pytest.raises(DataError, match=r"'next_observation' of row 0 is not .*, in 1 of 6 rows"):
        find_episodes(run, ReadOptions())
    assert find_episodes(run, ReadOptions(incomplete="truncated")).tolist() == [1, 2, 2, 1]
    assert find_episodes(run_of(next_observation=wide(AFTER)), ReadOptions()).tolist() == [3, 2, 1]


def test_jumps_are_seen_of_any_agent_across_pieces_and_not_of_absent_ones(monkeypatch):
    monkeypatch.setattr(cutting, "_PIECE_ROWS", 2)
    after = wide(AFTER)
    after[3, 1] = 9
    with pytest.raises(DataError, match="of row 3 is not"):
        find_episodes(run_of(next_observation=after), ReadOptions())
    mask = np.ones((6, 2))
    mask[4, 1] = 0  # the agent is gone one step later
    assert find_episodes(run_of(next_observation=after, agent_mask=mask), ReadOptions()).tolist() == [3, 2, 1]
    mask = np.ones((6, 2))
    mask[3, 1] = mask[4, 0] = 0
    with pytest.raises(DataError, match="of row 3 is not"):
        find_episodes(run_of(next_observation=after, agent_mask=mask), ReadOptions())


def test_rounding_to_single_precision_is_no_jump():
    run = run_of(observation=wide(SEEN + 0.1), next_observation=wide(np.float32(AFTER + 0.1)))
    assert find_episodes(run, ReadOptions()).tolist() == [3, 2, 1]


def test_the_first_observation_after_a_reset_is_not_what_was_seen_last():
    after = np.array([1.0, 2, 10, 11, 20, 21])  # as environments give that reset by themselves
    with pytest.raises(DataError, match=r"of the truncated row 2 is the first .*as in 2 of 2 such rows"):
        find_episodes(run_of(next_observation=wide(after)), ReadOptions())
    ended = {"terminated": ENDS, "truncated": np.zeros(6)}  # never used behind a termination
    assert find_episodes(run_of(next_observation=wide(after), **ended), ReadOptions()).tolist() == [3, 2, 1]
    assert find_episodes(run_of(next_observation=wide(after), terminated=ENDS), ReadOptions()).tolist() == [
        3,
        2,
        1,
    ]


def few_things(episodes):
    """Episodes of two steps over the same two observations, and what follows if the environment resets."""
    steps = 2 * episodes
    seen = np.arange(steps) % 2.0
    after = 1 - seen
    return {
        "observation": wide(seen), "action": wide(np.arange(float(steps))), "reward": np.ones(steps),
        "terminated": np.zeros(steps), "truncated": np.arange(steps) % 2, "next_observation": wide(after),
    }  # fmt: skip


def test_where_few_things_can_be_seen_three_such_ends_are_no_chance():
    for episodes, refused in ((2, False), (3, False), (4, True)):
        run = read_run(few_things(episodes), Facts("here"), "here")
        if refused:
            with pytest.raises(DataError, match="the environment was reset there"):
                find_episodes(run, ReadOptions())
        else:
            assert len(find_episodes(run, ReadOptions())) == episodes
    given = few_things(6)
    given["next_observation"][3] = 7  # one of them was seen by itself: the others are chance
    assert len(find_episodes(read_run(given, Facts("here"), "here"), ReadOptions())) == 6


def standing(seen):
    """Episodes of two steps; after every one comes what the next row has."""
    given = few_things(len(seen) // 2)
    return {**given, "observation": wide(seen), "next_observation": wide(np.append(seen[1:], 0.0))}


def test_ends_that_stand_still_say_nothing():
    given = standing(np.array([0.0, 1, 1, 0, 0, 1, 1, 0]))
    assert find_episodes(read_run(given, Facts("here"), "here"), ReadOptions()).tolist() == [2] * 4
    given = standing(np.array([0.0, 1, 0, 1, 0, 1, 0, 1, 1, 0]))  # three move, the fourth one does not
    with pytest.raises(DataError, match="as in 3 of 4 such rows"):
        find_episodes(read_run(given, Facts("here"), "here"), ReadOptions())


def test_groups_have_the_same_rows():
    with pytest.raises(DataError, match=r"same number of rows in every group, got \[6, 7\]"):
        find_episodes(
            run_of(
                observation={"a": np.zeros((6, 1, 2)), "b": np.zeros((7, 1, 2))},
                action={"a": np.zeros((6, 1, 1)), "b": np.zeros((6, 1, 1))},
            ),
            ReadOptions(),
        )


@pytest.mark.parametrize("rows", [7, 8, 10])
def test_there_is_one_row_a_step_or_one_more_an_episode(rows):
    with pytest.raises(DataError, match=rf"'state' has {rows} rows; expected .*6 steps.*3 episodes, 9"):
        find_episodes(run_of(state=np.zeros((rows, 2))), ReadOptions())
    assert len(find_episodes(run_of(state=np.zeros((9, 2))), ReadOptions())) == 3
