"""Parts of datasets, mixtures and names of sets: by numbers that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.own.set_opening import (
    choose,
    mixed_parts,
    open_part,
    open_set,
    relabelled,
    require_some,
    same_scale,
)
from omiga_torchrl.errors import DataError


def dataset(lengths=(2, 3, 1, 4), rewards=None, *, name="one", **options):
    steps = sum(lengths)
    ends = np.zeros(steps)
    ends[np.cumsum(lengths) - 1] = 1
    rng = np.random.default_rng(len(name))
    return OfflineDataset.from_arrays(
        rng.normal(size=(steps, 2, 3)), rng.uniform(-1, 1, (steps, 2, 1)),
        np.ones(steps) if rewards is None else rewards, ends, name=name, **options,
    )  # fmt: skip


def test_the_best_episodes_in_the_order_of_time():
    one = dataset()  # returns 2, 3, 1, 4
    for top, best in ((0.5, [1, 3]), (0.25, [3]), (0.0, [3]), (0.75, [0, 1, 3]), (1.0, [0, 1, 2, 3])):
        numbers, how = choose(one, None, None, top, 0)
        assert numbers.tolist() == best and how == f"top={top:g}"
    ties = dataset((1, 1, 1, 1), name="ties")
    assert choose(ties, None, None, 0.5, 0)[0].tolist() == [0, 1]


def test_a_number_of_episodes_or_their_numbers():
    one = dataset()
    numbers, how = choose(one, None, 3, None, 5)
    assert numbers.tolist() == sorted(np.random.default_rng(5).permutation(4)[:3])
    assert how == "episodes=3 seed=5"
    assert choose(one, None, 4, None, 0)[0].tolist() == [0, 1, 2, 3]
    assert len(choose(one, None, np.int64(1), None, 0)[0]) == 1
    numbers, how = choose(one, None, [3, 0, 3], None, 0)
    assert numbers.tolist() == [0, 3] and how != choose(one, None, [0, 2], None, 0)[1]
    assert how == choose(one, None, np.array([0, 3], np.uint8), None, 0)[1]


@pytest.mark.parametrize("episodes", [0, -1, 5])
def test_no_more_episodes_than_there_are(episodes):
    with pytest.raises(ValueError, match=f"episodes is {episodes}; expected 1 to 4"):
        choose(dataset(), None, episodes, None, 0)


@pytest.mark.parametrize("episodes", [[], [-1, 0], [0, 4], [0.5]])
def test_numbers_that_there_are_not(episodes):
    with pytest.raises(ValueError, match="expected numbers from 0 to 3"):
        choose(dataset(), None, episodes, None, 0)


def test_exactly_one_choice():
    one = dataset()
    for given in ((None, None, None), (0.5, 2, None), (None, 2, 0.5), (0.5, None, 0.5)):
        with pytest.raises(ValueError, match="exactly one of fraction, episodes and top"):
            choose(one, *given, 0)
    for given in ((1.1, None, None), (None, None, 1.1), (-0.1, None, None), (None, None, -0.1)):
        with pytest.raises(ValueError, match=r"expected a number in \[0, 1\]"):
            choose(one, *given, 0)
    numbers, how = choose(one, 0.5, None, None, 7)
    assert how == "fraction=0.5 seed=7" and 0 < len(numbers) < 4


def steps_of(parts):
    return [int(np.array([2] * 50)[chosen].sum()) for _, chosen, _ in parts]


def test_mixtures_have_these_shares_of_as_many_steps_as_there_are():
    one, two = dataset((2,) * 50, name="one"), dataset((2,) * 50, name="second")
    parts = mixed_parts({one: 0.75, two: 0.25}, None, 3)
    assert [part[0] for part in parts] == [one, two] and steps_of(parts) == [100, 34]
    assert [how for _, _, how in parts] == ["share=0.75 seed=3", "share=0.25 seed=3"]
    assert steps_of(mixed_parts({one: 0.5, two: 0.5}, None, 3)) == [100, 100]
    assert steps_of(mixed_parts({one: 0.2, two: 0.8}, 50, 3)) == [10, 40]
    first, other = (mixed_parts({one: 0.5, two: 0.5}, 50, seed)[0][1] for seed in (0, 1))
    assert first.tolist() != other.tolist()


def test_mixtures_that_cannot_be():
    one, two = dataset((2,) * 5, name="one"), dataset((2,) * 5, name="second")
    with pytest.raises(ValueError, match=r"the shares sum up to 0\.9; expected 1"):
        mixed_parts({one: 0.5, two: 0.4}, None, 0)
    with pytest.raises(ValueError, match=r"the share of second"):
        mixed_parts({one: 1.0, two: 0.0}, None, 0)
    mixed_parts({one: 0.5, two: 0.5 + 1e-7}, 10, 0)
    assert sum(map(len, (chosen for _, chosen, _ in mixed_parts({one: 0.5, two: 0.5}, 20, 0)))) == 10
    for transitions in (0, 21):
        with pytest.raises(ValueError, match=rf"transitions is {transitions}; expected 1 to 20"):
            mixed_parts({one: 0.5, two: 0.5}, transitions, 0)


def test_sets_are_lists_of_datasets():
    for wrong in ("one", [], ()):
        with pytest.raises(ValueError, match="must be a list of at least one"):
            require_some(wrong)
    require_some([1])
    one = dataset()
    assert open_part(OfflineDataset, one, {}) is one
    opened = open_part(OfflineDataset, "vmas/navigation/mixed", {"batch_size": 7})
    assert opened.card.name == "vmas/navigation/mixed" and opened._batch_size == 7


def test_the_scale_of_a_dataset():
    plain = same_scale(dataset(rewards=np.arange(10.0), batch_size=3))
    assert plain["normalise_observations"] is False and plain["batch_size"] == 3
    assert plain["reward_scale"] == pytest.approx(np.arange(10.0).std()) and plain["slice_len"] is None
    one = dataset(normalise_observations=True, reward_scale=None, slice_len=2, batch_size=4)
    scale = same_scale(one)
    assert scale["normalise_observations"] is one.normalisation and scale["slice_len"] == 2
    assert scale["reward_scale"] == one.reward_scale


def test_sets_are_named_after_their_parts():
    one, two = dataset(card={"tier": "a"}), dataset(name="second", card={"tier": "b"})
    both = open_set(OfflineDataset, [(one, None, "all"), (two, np.array([0, 1]), "top=0.5")], "", {})
    assert (both.card.name, both.card.tier, both.card.layout) == ("one+second-top-0.5", "a+b-top-0.5", "set")
    assert [part["transitions"] for part in both.card.parts] == [10, 5] and len(both) == 15
    named = open_set(OfflineDataset, [(one, None, "all")], "mine", {})
    assert (named.card.name, named.card.tier) == ("mine", "mine")
    told = open_set(OfflineDataset, [(one, None, "all")], "mine", {"card": {"tier": "best"}})
    assert told.card.tier == "best" and told.card.data_sha256 == named.card.data_sha256
    assert both.card.data_sha256 != named.card.data_sha256 and both.root == one.root


def test_long_names_are_cut():
    one = dataset(name="x" * 50)
    exact = open_set(OfflineDataset, [(one, None, "all"), (dataset(name="y" * 29), None, "all")], "", {})
    assert exact.card.name == "x" * 50 + "+" + "y" * 29
    longer = [
        (one, None, "all"),
        (dataset(name="y" * 15), None, "all"),
        (dataset(name="z" * 15), None, "all"),
    ]
    assert open_set(OfflineDataset, longer, "", {}).card.name == "x" * 50 + "+2-more"


def test_other_rewards_are_those_of_the_function():
    one = dataset(rewards=np.arange(10.0), card={"task": "t", "tier": "best", "random_return": 1.0})
    new = relabelled(one, lambda block: block.reward * 2 + 1, "", {"reward_scale": None})
    assert new.data["next", "reward"].flatten().tolist() == list(range(1, 20, 2))
    assert (new.card.name, new.card.tier, new.card.task) == ("one-relabelled", "best-relabelled", "t")
    assert new.card.random_return is None and new.card.team_reward == "" and new.card.layout == "set"
    assert new.card.parts[0]["how"] == "rewards relabelled" and new.card.parts[0]["transitions"] == 10
    named = relabelled(
        one, lambda block: block.reward > 3, "mine", {"card": {"tier": "x", "random_return": 0.5}}
    )
    assert (named.card.name, named.card.tier, named.card.random_return) == ("mine", "x", 0.5)
    assert named.card.behaviour_return["mean"] == 1.5


def test_agents_own_rewards_are_gone_where_the_teams_is_another():
    own = np.arange(20.0).reshape(10, 2)
    one = dataset(rewards=own, team_reward="sum", agent_rewards=True)
    assert ("next", "agents", "reward") in one.data.keys(True)
    new = relabelled(one, lambda block: np.zeros(block.steps), "", {})
    assert ("next", "agents", "reward") not in new.data.keys(True)
    assert new.data["agents", "action"].shape == (10, 2, 1)


@pytest.mark.parametrize("wrong", [np.zeros((10, 1)), np.zeros(9), 1.0, np.array(["1"] * 10)])
def test_rewards_are_one_number_a_step(wrong):
    with pytest.raises(DataError, match=r"relabel_rewards: 'reward' has the shape .*each of 10 steps"):
        relabelled(dataset(), lambda block: wrong, "", {})
