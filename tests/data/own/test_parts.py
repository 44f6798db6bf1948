"""Episodes chosen and taken, and what is known of several datasets together."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, OfflineDataset, ReadOptions
from omiga_torchrl.data.ends import KINDS, LAST_STEPS, DatasetEnds
from omiga_torchrl.data.own.parts import (
    choose_episodes,
    common_card,
    describe_part,
    identity,
    lengths_and_returns,
    options_of,
    read_parts,
    take_episodes,
)
from omiga_torchrl.errors import DataError
from omiga_torchrl.testing.layout_contract import assert_equal
from tests.data.conftest import make_episodes, make_hunt


def dataset(lengths=(2, 3, 1), *, truncated=False, name="one", **options):
    """Rewards 1, 2, 4, ...; without what was seen last, so that truncated last steps are left out."""
    ends = np.zeros(sum(lengths), int)
    ends[np.cumsum(lengths) - 1] = 1
    steps = len(ends)
    rng = np.random.default_rng(len(name))
    return OfflineDataset.from_arrays(
        rng.normal(size=(steps, 2, 3)), rng.uniform(-1, 1, (steps, 2, 1)), 2.0 ** np.arange(steps),
        np.zeros(steps) if truncated else ends, ends if truncated else None, name=name, **options,
    )  # fmt: skip


def test_lengths_and_raw_returns():
    length, returns = lengths_and_returns(dataset())
    assert length.tolist() == [2, 3, 1] and returns.tolist() == [3, 28, 32]


def test_rewards_of_steps_that_were_left_out_count():
    length, returns = lengths_and_returns(dataset((2, 3, 2), truncated=True))
    assert length.tolist() == [1, 2, 1] and returns.tolist() == [3, 28, 96]


def test_shares_are_of_the_steps():
    length = np.array([10, 30, 20, 40])
    for seed in range(5):
        (half,) = choose_episodes(length, (0.5,), seed)
        order = np.random.default_rng(seed).permutation(4)
        best = min(range(5), key=lambda count: abs(length[order[:count]].sum() - 50))
        assert half.tolist() == sorted(order[:best])
    (whole,) = choose_episodes(length, (1.0,), 0)
    assert whole.tolist() == [0, 1, 2, 3]


def test_shares_have_no_episode_in_common():
    length = np.random.default_rng(0).integers(1, 9, 100)
    parts = choose_episodes(length, (0.5, 0.3, 0.2), seed=1)
    assert sorted(np.concatenate(parts)) == list(range(100))
    for part, share in zip(parts, (0.5, 0.3, 0.2), strict=True):
        assert (np.diff(part) > 0).all()
        assert abs(length[part].sum() / length.sum() - share) < 0.02
    assert not np.array_equal(parts[0], choose_episodes(length, (0.5, 0.3, 0.2), seed=2)[0])
    some = choose_episodes(length, (0.2, 0.2), seed=1)
    assert 30 < sum(map(len, some)) < 50


def test_an_empty_share_is_an_error():
    assert [len(one) for one in choose_episodes(np.array([1, 1]), (0.5, 0.5), 0)] == [1, 1]
    with pytest.raises(DataError, match=r"2 episodes are too few for the shares \(0.9, 0.1\)"):
        choose_episodes(np.array([1, 1]), (0.9, 0.1), 0)


def test_episodes_are_taken_by_their_numbers_over_all_blocks():
    whole = make_hunt((3, 1, 4, 2, 5), absent=True, own_reward=True, stored_state=True)
    for cuts in ([0, 5], [0, 2, 3, 5]):
        blocks = [whole.part(a, b) for a, b in itertools.pairwise(cuts)]
        for chosen in ([0, 1, 2, 3, 4], [4], [0, 2], [1, 3, 4]):
            found = list(take_episodes(iter(blocks), np.array(chosen)))
            assert_equal(
                Episodes.concatenate(found),
                Episodes.concatenate([whole.part(index, index + 1) for index in chosen]),
            )
    assert list(take_episodes(iter([whole]), np.array([7]))) == []


def test_whole_blocks_are_not_copied():
    block = make_episodes()
    [taken] = take_episodes(iter([block]), np.array([0, 1, 2]))
    assert taken is block


def test_parts_are_read_one_after_the_other():
    one, two = dataset(), dataset((4, 1), name="second")
    reading = read_parts([(one, None), (two, np.array([1])), (one, np.array([0, 2]))])
    found = Episodes.concatenate(list(reading.blocks))
    assert found.length.tolist() == [2, 3, 1, 1, 2, 1]
    assert found.reward.tolist() == [1, 2, 4, 8, 16, 32, 16, 1, 2, 32]


def test_steps_left_out_follow_the_episodes_that_are_taken():
    one = dataset((2, 1, 3), truncated=True)  # the second one is left out as a whole
    whole = read_parts([(one, None)]).left_out
    assert whole.steps == 3 and np.concatenate(whole.rewards).tolist() == [2, 32]
    assert np.concatenate(whole.single).tolist() == [4]
    part = read_parts([(one, np.array([1])), (one, np.array([0]))]).left_out
    assert part.steps == 2 and np.concatenate(part.rewards).tolist() == [32, 2]


def test_cut_ends_and_dropped_rows_follow_too():
    one = dataset()
    kind = np.array([KINDS.index(name) for name in ("cut", "terminated", "cut")], np.uint8)
    DatasetEnds(np.array([2, 3, 1]), kind, {"padding": 4, LAST_STEPS: 2}, ()).save(one.data_path)
    whole = read_parts([(one, None), (one, np.array([1, 2]))]).ends
    assert np.concatenate(whole.cut).tolist() == [True, False, True, False, True]
    assert whole.dropped == {"padding": 4}  # last steps are counted as left out
    assert read_parts([(one, np.array([0]))]).ends.dropped == {}


def test_states_and_masks_are_in_all_parts_if_they_are_in_one():
    rng = np.random.default_rng(0)
    given = {
        "observation": rng.normal(size=(4, 2, 3)), "action": rng.uniform(-1, 1, (4, 2, 1)),
        "reward": np.ones(4), "terminated": [0, 1, 0, 1],
    }  # fmt: skip
    mask = np.array([[1, 1], [1, 0], [0, 1], [1, 1]])
    plain = OfflineDataset.from_arrays(**given)
    masked = OfflineDataset.from_arrays(**given, agent_mask=mask, state=rng.normal(size=(4, 6)))
    first, second = read_parts([(plain, None), (masked, None)]).blocks
    assert first.agent_mask.all() and first.agent_mask.shape == (6, 2)
    np.testing.assert_array_equal(first.state, first.observation.reshape(6, 6))
    assert not second.agent_mask.all() and second.state.shape == (6, 6)
    [alone] = read_parts([(plain, None)]).blocks
    assert alone.agent_mask is None and alone.state is None


def test_a_part_is_described_by_what_is_taken():
    one = dataset(card={"tier": "medium"})
    found = describe_part(one, np.array([0, 2]), "some")
    assert found == {
        "name": "one", "tier": "medium", "fingerprint": identity(one), "how": "some", "transitions": 3,
        "episodes": 2,
    }  # fmt: skip
    assert (describe_part(one, None, "all")["transitions"], describe_part(one, None, "all")["episodes"]) == (
        6,
        3,
    )
    assert identity(one) != identity(dataset(name="other", lengths=(1, 2)))


def test_converted_actions_and_rewards_are_not_converted_twice():
    assert options_of(dataset()) == ReadOptions()
    raw = dataset(actions="raw", team_reward="mean", name="raw")
    assert options_of(raw) == ReadOptions(actions="raw", team_reward="mean")
    assert options_of(raw, rewards=False) == ReadOptions(actions="raw")
    assert options_of(dataset(actions="clip", name="clip")) == ReadOptions()


def parts(**differences):
    """Two cards that differ in these fields only."""
    card = {
        "sizes": {"n": 1}, "task": "t", "task_kwargs": {}, "team_reward": "mean", "action_convention": "",
        "observation_preprocessing": "", "timeout_is_terminal": False, "random_return": 1.0,
        "expert_return": 2.0, "best_checkpoint_return": None,
    }  # fmt: skip
    return [
        SimpleNamespace(spec=one.pop("spec", "a"), card=SimpleNamespace(**{**card, **one, "name": name}))
        for name, one in (("x", {}), ("y", dict(differences)))
    ]


def test_equal_cards_make_one():
    known = common_card(parts(), {"source": "here"})
    assert known["task"] == "t" and known["random_return"] == 1.0 and known["sizes"] == {"n": 1}
    assert known["best_checkpoint_return"] is None and known["source"] == "here"


@pytest.mark.parametrize(
    "name",
    [
        "task",
        "task_kwargs",
        "team_reward",
        "action_convention",
        "observation_preprocessing",
        "timeout_is_terminal",
    ],
)
def test_meanings_must_be_the_same_unless_one_says_what_holds(name):
    with pytest.raises(DataError, match=rf"the parts differ: {name} is \{{'x': .*, 'y': 'other'\}}"):
        common_card(parts(**{name: "other"}), {})
    assert common_card(parts(**{name: "other"}), {name: "mine"})[name] == "mine"


def test_sizes_must_be_the_same_and_references_are_kept_if_they_are():
    with pytest.raises(DataError, match="'y' is a b, 'x' a a"):
        common_card(parts(spec="b"), {})
    known = common_card(parts(random_return=5.0), {"expert_return": 9.0})
    assert known["random_return"] is None and known["expert_return"] == 9.0
