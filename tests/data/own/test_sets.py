"""Parts of datasets and datasets of several: their numbers, scales, cards and fingerprints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omiga_torchrl.data import OfflineDataset, check_dataset
from omiga_torchrl.errors import DataError

STEPS = 10


def make(level, spread, episodes, *, name, seed=0, **changes):
    """Episodes of ten steps whose rewards are around a level; what is seen is its row's number."""
    rng = np.random.default_rng(seed)
    total = episodes * STEPS
    given = {
        "observation": np.split(rng.normal(size=(total + episodes, 2, 3)).astype(np.float32), episodes),
        "action": np.split(rng.uniform(-1, 1, (total, 2, 2)).astype(np.float32), episodes),
        "reward": np.split(level + spread * rng.normal(size=total), episodes),
        "terminated": [np.zeros(STEPS)] * episodes,
    }
    options = {"card": {"task": "vmas/navigation", "tier": name}, **changes}
    return OfflineDataset.from_arrays(**given, name=name, **options)


@pytest.fixture
def medium():
    return make(1.0, 1.0, 30, name="medium")


@pytest.fixture
def expert():
    return make(3.0, 0.1, 20, name="expert", seed=1)


def raw(dataset):
    return (dataset.data["next", "reward"] * dataset.reward_scale).flatten()


def test_concatenation_has_one_scale(medium, expert):
    both = OfflineDataset.concatenate([medium, expert], normalise_observations=True)
    rewards = torch.cat([raw(medium), raw(expert)])
    assert torch.allclose(raw(both), rewards, atol=1e-5)
    assert both.reward_scale == pytest.approx(float(rewards.double().std(correction=0)), rel=1e-5)
    ratio = both.data["next", "reward"][300:].mean() / both.data["next", "reward"][:300].mean()
    assert float(ratio) == pytest.approx(expert.card.reward_mean / medium.card.reward_mean, rel=1e-5)
    assert both.data["episode"].unique().tolist() == list(range(50))
    assert (both.card.episodes, both.card.task, both.card.tier) == (50, "vmas/navigation", "medium+expert")
    assert [(one["name"], one["transitions"], one["episodes"]) for one in both.card.parts] == [
        ("medium", 300, 30),
        ("expert", 200, 20),
    ]
    observation = torch.cat([medium.data["agents", "observation"], expert.data["agents", "observation"]])
    rows = [block.observation for one in (medium, expert) for block in one.blocks()]
    rows = np.concatenate(rows).reshape(-1, 3)  # with those after the last steps
    mean, std = torch.as_tensor(rows.mean(0)), torch.as_tensor(rows.std(0))
    assert torch.allclose(both.data["agents", "observation"], (observation - mean) / std, atol=1e-4)
    check_dataset(both)


def test_single_episodes_are_not_glued():
    one, two = (make(1.0, 1.0, 1, name=name, seed=seed) for seed, name in enumerate(("a", "b")))
    both = OfflineDataset.concatenate([one, two])
    assert int(both.data["is_init"].sum()) == 2
    assert [block.length.tolist() for block in both.blocks()] == [[10, 10]]


def test_mixing_takes_shares_without_repetition(medium, expert):
    whole = OfflineDataset.mix({medium: 0.25, expert: 0.75})
    assert [one["transitions"] for one in whole.card.parts] == [70, 200]
    half = OfflineDataset.mix({medium: 0.5, expert: 0.5}, transitions=200, seed=3)
    assert [one["transitions"] for one in half.card.parts] == [100, 100]
    kept = {tuple(row) for row in raw(half).reshape(-1, STEPS).tolist()}
    given = {tuple(row) for data in (medium, expert) for row in raw(data).reshape(-1, STEPS).tolist()}
    assert len(kept) == 20 and len(given) == 50
    assert (
        half.card.data_sha256
        == OfflineDataset.mix({medium: 0.5, expert: 0.5}, transitions=200, seed=3).card.data_sha256
    )
    assert (
        half.card.data_sha256
        != OfflineDataset.mix({medium: 0.5, expert: 0.5}, transitions=200).card.data_sha256
    )
    for shares, message in (
        ({medium: 0.5, expert: 0.4}, r"sum up to 0.9; expected 1"),
        ({medium: -1.0, expert: 2.0}, r"the share of medium is -1.0; expected a number > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            OfflineDataset.mix(shares)
    with pytest.raises(
        ValueError, match=r"transitions is 900; expected 1 to 400, as no episode is taken twice"
    ):
        OfflineDataset.mix({medium: 0.5, expert: 0.5}, transitions=900)
    with pytest.raises(ValueError, match=r"datasets must be a list of at least one, got \[\]"):
        OfflineDataset.mix({})


def test_subsets_keep_the_scale(medium):
    normalised = make(1.0, 1.0, 30, name="medium", normalise_observations=True, batch_size=8)
    returns = raw(medium).reshape(-1, STEPS).sum(1)
    top = normalised.subset(top=0.2)
    best = returns.argsort(descending=True)[:6].sort().values
    assert torch.allclose(raw(top).reshape(-1, STEPS).sum(1), returns[best], atol=1e-4)
    assert (top.reward_scale, top.normalisation) == (normalised.reward_scale, normalised.normalisation)
    assert top.sample().batch_size == (8,)
    rows = (best[:, None] * STEPS + torch.arange(STEPS)).flatten()
    assert torch.equal(top.data["agents", "observation"], normalised.data["agents", "observation"][rows])
    assert top.card.tier == "medium-top-0.2" and top.card.parts[0]["how"] == "top=0.2"
    own = medium.subset(top=0.2, reward_scale="std")
    assert own.reward_scale == pytest.approx(own.card.reward_std)
    chosen = medium.subset(episodes=[7, 3])
    assert torch.equal(raw(chosen), raw(medium).reshape(-1, STEPS)[[3, 7]].flatten())
    assert medium.subset(episodes=4).card.episodes == 4 and len(medium.subset(fraction=0.5)) == 150
    assert medium.subset(fraction=1).card.episodes == 30


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, r"exactly one of fraction, episodes and top must be given, got \{\}"),
        ({"top": 0.1, "fraction": 0.1}, r"exactly one of .* got \{'fraction': 0.1, 'top': 0.1\}"),
        ({"fraction": 2}, r"fraction is 2; expected a number in \[0, 1\]"),
        ({"fraction": 0.001}, r"30 episodes are too few"),
        ({"episodes": 31}, r"episodes is 31; expected 1 to 30"),
        ({"episodes": [30]}, r"episodes is \[30\]; expected numbers from 0 to 29"),
    ],
)
def test_bad_choices(medium, choice, message):
    with pytest.raises(ValueError, match=message):
        medium.subset(**choice)


def test_splits_have_nothing_in_common(medium):
    train, validation = medium.split(0.8, 0.2, seed=5)
    parts = [{tuple(row) for row in raw(one).reshape(-1, STEPS).tolist()} for one in (train, validation)]
    assert [len(part) for part in parts] == [24, 6] and not parts[0] & parts[1]
    assert train.reward_scale == validation.reward_scale == medium.reward_scale
    assert [one.card.parts[0]["how"] for one in (train, validation)] == [
        "train=0.8 seed=5",
        "validation=0.2 seed=5",
    ]
    with pytest.raises(ValueError, match=r"sum up to 1.2; expected at most 1"):
        medium.split(0.9, 0.3)


def test_relabelled_rewards(medium):
    costs = medium.relabel_rewards(lambda episodes: -2 * episodes.reward)
    assert torch.allclose(raw(costs), -2 * raw(medium), atol=1e-5)
    assert costs.card.behaviour_return["mean"] == pytest.approx(
        -2 * medium.card.behaviour_return["mean"], rel=1e-6
    )
    assert costs.reward_scale == pytest.approx(2 * medium.reward_scale, rel=1e-5)
    assert costs.card.tier == "medium-relabelled" and costs.card.parts[0]["how"] == "rewards relabelled"
    # What a function gives is the content: another function is another dataset.
    again = medium.relabel_rewards(lambda episodes: 3 * episodes.reward)
    assert again.data_path != costs.data_path
    with pytest.raises(DataError, match=r"'reward' has the shape \(2, 3\).*one number for each of 300 steps"):
        medium.relabel_rewards(lambda episodes: np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"'reward' is NaN or infinite in 300 rows"):
        medium.relabel_rewards(lambda episodes: np.full(episodes.steps, np.nan))


def test_parts_that_do_not_fit(medium):
    other = make(1.0, 1.0, 3, name="other", card={"task": "vmas/balance", "task_kwargs": {"n": 2}})
    with pytest.raises(
        DataError, match=r"the parts differ: task is \{'medium': 'vmas/navigation', 'other': 'vmas/ba"
    ):
        OfflineDataset.concatenate([medium, other])
    told = {"task": "both", "task_kwargs": {}}
    assert OfflineDataset.concatenate([medium, other], card=told).card.task == "both"
    summed = make(1.0, 1.0, 3, name="summed", team_reward="sum")
    with pytest.raises(DataError, match=r"team_reward is \{'medium': '', 'summed': 'sum'\}"):
        OfflineDataset.concatenate([medium, summed])
    mixed = OfflineDataset("vmas/navigation/mixed")
    with pytest.raises(DataError, match=r"is a TeamSpec\(n_agents=3.*'medium' a TeamSpec\(n_agents=2"):
        OfflineDataset.concatenate([medium, mixed])


def test_a_part_with_a_mask_of_agents_and_one_without(medium):
    rng = np.random.default_rng(0)
    masked = OfflineDataset.from_arrays(
        observation=rng.normal(size=(4, 2, 3)),
        action=np.zeros((4, 2, 2)),
        reward=np.ones(4),
        terminated=[0, 0, 0, 1],
        agent_mask=[[1, 1], [1, 0], [1, 1], [1, 1]],
        name="masked",
        card={"task": "vmas/navigation"},
    )
    both = OfflineDataset.concatenate([medium, masked])
    present = both.data["agents", "agent_mask"]
    assert present[:300].all() and present[300:].tolist() == masked.data["agents", "agent_mask"].tolist()


def test_raw_actions_beyond_the_bounds_stay(medium):
    wide = make(1.0, 1.0, 3, name="wide", actions="raw")
    assert OfflineDataset.concatenate([wide, wide.subset(episodes=2)]).card.action_convention == "raw"
    with pytest.raises(DataError, match=r"action_convention is"):
        OfflineDataset.concatenate([wide, medium])
    # Actions that were divided by 4 are not divided again.
    scaled = make(1.0, 1.0, 3, name="scaled", actions="scale")
    part = scaled.subset(episodes=[0, 1, 2])
    assert torch.equal(part.data["agents", "action"], scaled.data["agents", "action"])
    assert part.card.action_convention == "scale"


def test_rewards_of_steps_that_were_left_out_count_in_parts():
    """Each return is that of the timed-out step alone, which no part holds."""
    ends = np.arange(12) % 3 == 2
    paid = np.where(ends, np.arange(12.0), 0.0)
    whole = OfflineDataset.from_arrays(
        np.arange(24.0).reshape(12, 2, 1), np.zeros((12, 2, 1)), paid, np.zeros(12), ends
    )
    assert whole.card.behaviour_return["mean"] == np.mean([2, 5, 8, 11])
    best = whole.subset(top=0.5)
    assert best.data["agents", "observation"][:, 0, 0].tolist() == [12, 14, 18, 20]
    assert best.card.behaviour_return["mean"] == np.mean([8, 11]) and best.card.left_out_steps == 2
    both = OfflineDataset.concatenate([whole, best])
    assert (
        both.card.behaviour_return["mean"] == np.mean([2, 5, 8, 11, 8, 11]) and both.card.left_out_steps == 6
    )


def test_episodes_that_are_gone_as_a_whole_are_of_no_part():
    ends = np.array([1, 0, 0, 1, 0, 0, 1], bool)  # the first is a single step without what followed
    whole = OfflineDataset.from_arrays(
        np.arange(14.0).reshape(7, 2, 1), np.zeros((7, 2, 1)), [100.0, 1, 1, 1, 2, 2, 2], np.zeros(7), ends
    )
    assert whole.card.behaviour_return["mean"] == np.mean([100, 3, 6])
    assert whole.subset(episodes=[0, 1]).card.behaviour_return["mean"] == np.mean([3, 6])
    assert OfflineDataset.concatenate([whole]).card.behaviour_return["mean"] == np.mean([100, 3, 6])
