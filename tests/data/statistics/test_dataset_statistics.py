"""Statistics of a dataset: by hand on a small one, and against plain Python on random ones."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from omiga_torchrl.data import OfflineDataset
from omiga_torchrl.data.statistics.dataset_statistics import dataset_statistics
from omiga_torchrl.data.statistics.distributions import BINS, Spread
from omiga_torchrl.errors import DataError


def make_data(lengths, observation, action, reward, *, state=None, terminated=None, truncated=None):
    """Transitions with the keys of the library; by default episodes are truncated."""
    observation, action = torch.as_tensor(observation), torch.as_tensor(action)
    steps, agents = observation.shape[:2]
    last = torch.tensor(lengths).cumsum(0) - 1
    ends = {}
    for name, episodes in (("terminated", terminated or ()), ("truncated", truncated)):
        ends[name] = torch.zeros(steps, 1, dtype=torch.bool)
        ends[name][last if episodes is None else last[list(episodes)]] = True
    reward = torch.as_tensor(reward, dtype=torch.float32)[:, None]
    return TensorDict(
        {
            "agents": TensorDict({"observation": observation, "action": action}, [steps, agents]),
            "state": observation.reshape(steps, -1) if state is None else torch.as_tensor(state),
            "episode": torch.repeat_interleave(torch.arange(len(lengths)) + 7, torch.tensor(lengths)),
            "next": TensorDict(
                {"reward": reward, "done": ends["terminated"] | ends["truncated"], **ends}, [steps]
            ),
        },
        [steps],
    )


def by_hand():
    """Two agents, one feature each; the third episode repeats the first, and does not end."""
    observation = np.array([[0, 0], [1, 0], [5, 0], [0, 0], [1, 0]], np.float32)[..., None]
    action = np.array([[0.5, 0], [-1.5, 0], [0.5, 2], [0.5, 0], [-1.5, 0]], np.float32)[..., None]
    return make_data([2, 1, 2], observation, action, [1, 2, -4, 1, 2], terminated=[0], truncated=[1])


def test_by_hand():
    s = dataset_statistics(by_hand(), random_return=-1.0, best_return=4.0)
    assert (s.transitions, s.episodes, s.duplicate_episodes) == (5, 3, 1)
    assert (s.terminated, s.truncated, s.unfinished) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    # returns 3, -4, 3
    assert s.episode_return == Spread(-4.0, 3.0, pytest.approx(2 / 3), pytest.approx(98**0.5 / 3))
    assert s.episode_length == Spread(1.0, 2.0, pytest.approx(5 / 3), pytest.approx(2**0.5 / 3))
    assert s.reward == Spread(-4.0, 2.0, pytest.approx(0.4), pytest.approx(5.04**0.5))
    assert s.tq == pytest.approx((2 / 3 + 1) / 5)
    assert (s.unique_joint, s.unique_local) == (3, (3, 2))
    assert (s.joint_saco, s.average_oaco) == pytest.approx((3 / 5, (3 / 5 + 2 / 5) / 2))
    assert s.oaco == pytest.approx((3 / 5, 2 / 5))
    assert (s.observation_minimum, s.observation_maximum) == ((0.0,), (5.0,))


def test_actions_by_hand():
    action = dataset_statistics(by_hand()).action
    assert (action.minimum, action.maximum) == (((-1.5,), (0.0,)), ((0.5,), (2.0,)))
    assert action.range == (-1.5, 2.0) and not action.discrete
    # beyond: twice -1.5 of five, once 2 of five
    assert np.allclose(action.beyond, [[2 / 5], [1 / 5]]) and action.share_beyond == pytest.approx(3 / 10)
    (first,), (second,) = action.histograms
    assert first.edges == second.edges and (first.edges[0], first.edges[-1]) == (-1.5, 2.0)
    assert (first.counts[0], sum(first.counts)) == (2, 5) and (second.counts[-1], sum(second.counts)) == (
        1,
        5,
    )


def test_exactly_one_is_not_beyond():
    action = np.array([1.0, -1.0, np.nextafter(np.float32(1), np.float32(2))], np.float32).reshape(3, 1, 1)
    s = dataset_statistics(make_data([3], np.zeros((3, 1, 1), np.float32), action, [0, 0, 0]))
    assert s.action.beyond == ((pytest.approx(1 / 3),),)


def test_histograms_by_hand():
    s = dataset_statistics(by_hand())
    assert (s.length_histogram.edges, s.length_histogram.counts) == ((0.5, 1.5, 2.5), (1, 2))
    assert len(s.return_histogram.counts) == BINS and s.return_histogram.edges[0] == -4.0
    assert (s.return_histogram.counts[0], s.return_histogram.counts[-1]) == (1, 2)
    assert (s.reward_histogram.counts[0], s.reward_histogram.counts[-1], sum(s.reward_histogram.counts)) == (
        1,
        2,
        5,
    )


@pytest.mark.parametrize(
    ("random_return", "best_return", "tq"),
    [
        (None, 4.0, None),
        (-1.0, None, None),
        (4.0, 4.0, None),
        (4.0, 1.0, None),
        (0.0, 0.5, 4 / 3),
        (1.0, 2.0, -1 / 3),
    ],
)
def test_tq_needs_two_different_references_and_is_not_clipped(random_return, best_return, tq):
    found = dataset_statistics(by_hand(), random_return=random_return, best_return=best_return).tq
    assert found == (None if tq is None else pytest.approx(tq))


def test_pairs_of_the_stored_state_not_of_the_observations():
    data = by_hand()
    data["state"] = torch.zeros(5, 3)
    # joint actions (0.5, 0), (-1.5, 0), (0.5, 2)
    assert dataset_statistics(data).unique_joint == 3
    data["agents", "action"].zero_()
    s = dataset_statistics(data)
    assert (s.unique_joint, s.unique_local) == (1, (3, 1))


def test_rewards_are_raw():
    data = by_hand()
    raw = dataset_statistics(data)
    data["next", "reward"] /= 4
    assert dataset_statistics(data, reward_scale=4.0) == raw


@pytest.mark.parametrize("change", [("next", "reward"), "state", ("agents", "action")])
def test_an_episode_that_differs_in_one_number_is_no_duplicate(change):
    data = by_hand()
    data[change][4] += 1
    assert dataset_statistics(data).duplicate_episodes == 0


def test_the_same_steps_in_another_order_are_no_duplicate():
    data = by_hand()
    order = [0, 1, 2, 4, 3]
    for key in ("agents", "state"):
        data[key] = data[key][order]
    data["next", "reward"] = data["next", "reward"][order]
    s = dataset_statistics(data)
    assert (s.duplicate_episodes, s.unique_joint) == (0, 3)


def test_discrete_actions():
    action = torch.tensor([[0, 2], [0, 1], [1, 1]])
    data = make_data([3], np.zeros((3, 2, 4), np.float32), action, [0, 0, 1])
    s = dataset_statistics(data)
    assert s.action.discrete and s.action.beyond is None and s.action.share_beyond is None
    assert (s.action.minimum, s.action.maximum) == (((0,), (1,)), ((1,), (2,)))
    assert [one[0].counts for one in s.action.histograms] == [(2, 1, 0), (0, 2, 1)]
    assert (s.unique_joint, s.unique_local) == (3, (2, 2))
    data["agents", "action_mask"] = torch.ones(3, 2, 5, dtype=torch.bool)
    first, _ = dataset_statistics(data).action.histograms
    assert (first[0].edges[0], first[0].edges[-1], first[0].counts) == (-0.5, 4.5, (2, 1, 0, 0, 0))


NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -2.0])


@st.composite
def datasets(draw):
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    steps, agents = sum(lengths), draw(st.integers(1, 3))
    numbers = draw(st.lists(NUMBERS, min_size=steps * agents * 3, max_size=steps * agents * 3))
    values = np.array(numbers, np.float32).reshape(steps, agents, 3)
    reward = draw(st.lists(NUMBERS, min_size=steps, max_size=steps))
    return lengths, make_data(lengths, values[..., :1], values[..., 1:], reward)


@settings(max_examples=60, deadline=None)
@given(given_data=datasets(), chunk=st.integers(1, 20))
def test_against_plain_python(given_data, chunk):
    lengths, data = given_data
    s = dataset_statistics(data, chunk=chunk)
    assert s == dataset_statistics(data)
    state, reward = data["state"].tolist(), data["next", "reward"].flatten().tolist()
    observation, action = data["agents", "observation"].tolist(), data["agents", "action"].tolist()
    joint = [(tuple(one), tuple(map(tuple, acts))) for one, acts in zip(state, action, strict=True)]
    assert s.unique_joint == len(set(joint))
    for agent, unique in enumerate(s.unique_local):
        pairs = zip(observation, action, strict=True)
        assert unique == len({(tuple(o[agent]), tuple(a[agent])) for o, a in pairs})
    stops = np.cumsum(lengths).tolist()
    episodes = [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    assert s.duplicate_episodes == len(lengths) - len({(*joint[e], *reward[e]) for e in episodes})
    assert s.episode_return.mean == pytest.approx(np.mean([sum(reward[e]) for e in episodes]))
    assert sum(s.return_histogram.counts) == sum(s.length_histogram.counts) == len(lengths)
    assert sum(s.reward_histogram.counts) == len(reward)
    assert {sum(h.counts) for one in s.action.histograms for h in one} == {len(reward)}


def test_bundled_data_agree_with_their_card():
    dataset = OfflineDataset("vmas/navigation/mixed")
    card, s = dataset.card, dataset_statistics(dataset)
    assert (s.transitions, s.episodes, s.duplicate_episodes) == (card.transitions, card.episodes, 0)
    assert (s.episode_return.mean, s.episode_return.std) == pytest.approx(
        (card.behaviour_return["mean"], card.behaviour_return["std"]), rel=1e-5
    )
    assert s.reward.std == pytest.approx(card.reward_std, rel=1e-5)
    assert s.tq == pytest.approx((1.04056 + 0.36245) / (2.85841 + 0.36245), abs=1e-5)
    assert s.unique_joint == s.transitions and s.action.share_beyond == 0
    dataset.card = dataclasses.replace(card, expert_return=10.0)
    assert dataset_statistics(dataset).best_return == 10.0
    assert dataset_statistics(dataset, best_return=3.0, random_return=0.0).tq == pytest.approx(
        1.04056 / 3, abs=1e-5
    )


def test_json_holds_everything():
    s = dataset_statistics(by_hand(), random_return=-1.0, best_return=4.0)
    found = json.loads(s.to_json())
    # Those of a plain team's one group are not below it.
    groups = {f.name for f in dataclasses.fields(s.groups["agents"])}
    assert set(found) == {f.name for f in dataclasses.fields(s) if f.name != "groups"} | groups | {
        "tq",
        "joint_saco",
        "oaco",
        "average_oaco",
    }
    assert (found["tq"], found["joint_saco"], found["oaco"]) == (pytest.approx(1 / 3), 0.6, [0.6, 0.4])
    assert found["action"]["histograms"][0][0]["counts"] == list(s.action.histograms[0][0].counts)
    assert json.loads(dataset_statistics(by_hand()).to_json())["tq"] is None


@pytest.mark.parametrize("key", [("next", "reward"), ("agents", "action"), ("agents", "observation")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(key, value):
    data = by_hand()
    data[key][3] = value
    with pytest.raises(DataError, match=f"{key[1]} has NaN or infinite values.*check_dataset"):
        dataset_statistics(data)


def test_mistakes_are_named():
    with pytest.raises(DataError, match="no transitions"):
        dataset_statistics(by_hand()[:0])
    with pytest.raises(ValueError, match="chunk is 0; expected at least 1"):
        dataset_statistics(by_hand(), chunk=0)
    for name in ("random_return", "best_return"):
        with pytest.raises(ValueError, match=f"{name} is nan; expected a number that is finite"):
            dataset_statistics(by_hand(), **{name: float("nan")})
    with pytest.raises(KeyError, match="'state' is missing"):
        dataset_statistics(by_hand().exclude("state"))


def test_progress_bar(monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    seen = []

    class Bar:
        def __init__(self, total, **options):
            seen.append(total)

        def update(self, steps):
            seen.append(steps)

        def close(self):
            seen.append("closed")

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    dataset_statistics(by_hand(), chunk=2, progress=True)
    assert seen == [5, 2, 2, 1, "closed"]
