"""The smallest and the largest discounted return of data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.data import OfflineDataset, discounted_return_range


def data(*episodes: tuple[list[float], bool]) -> TensorDict[Any, Any]:
    """Steps of episodes: their rewards, and whether the task ended them."""
    reward = torch.tensor([value for rewards, _ in episodes for value in rewards])[:, None]
    number = torch.tensor([k for k, (rewards, _) in enumerate(episodes) for _ in rewards])
    terminated = torch.zeros(len(reward), 1, dtype=torch.bool)
    end = 0
    for rewards, is_terminated in episodes:
        end += len(rewards)
        terminated[end - 1] = is_terminated
    return TensorDict(
        {"episode": number, "next": {"reward": reward, "terminated": terminated}}, [len(reward)]
    )


def test_the_rests_of_a_terminated_episode_count() -> None:
    assert discounted_return_range(data(([-5.0, 1.0, 4.0], True)), 0.5) == (-3.5, 4.0)
    assert discounted_return_range(data(([3.0, 1.0, 4.0], True)), 0.5) == (3.0, 4.5)


def test_an_episode_that_was_cut_off_goes_on_as_before() -> None:
    """A reward of one each step is worth 1 / (1 - gamma), however early the cut."""
    for length in (1, 3, 50):
        found = discounted_return_range(data(([1.0] * length, False)), 0.9)
        assert found == pytest.approx((10, 10))


def test_short_stretches_before_a_cut_say_nothing() -> None:
    """The last step's reward of ten is not taken for ten at every step."""
    whole, last = (10 * 0.9 ** (n - 1) / (1 - 0.9**n) for n in (31, 10))
    assert discounted_return_range(data(([0.0] * 30 + [10.0], False)), 0.9) == pytest.approx((whole, last))


def test_without_a_discount_nothing_goes_on() -> None:
    assert discounted_return_range(data(([1.0, 1.0], False), ([2.5], True)), 1.0) == (1.0, 2.5)


def test_it_is_in_units_of_scaled_rewards() -> None:
    raw, scaled = (OfflineDataset("vmas/navigation/mixed", reward_scale=one)[:] for one in (None, 10.0))
    one, ten = discounted_return_range(raw, 0.99), discounted_return_range(scaled, 0.99)
    scale = float((scaled["next", "reward"] / raw["next", "reward"]).median())
    assert one is not None and ten is not None and scale != 1
    assert ten == pytest.approx([scale * value for value in one], rel=1e-5)


def test_without_a_reward_of_the_team_there_is_none() -> None:
    steps = data(([1.0], True))
    del steps["next", "reward"]
    assert discounted_return_range(steps, 0.9) is None
