"""Discounted returns against their definition."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.functional import returns_to_go


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
def test_they_are_the_recursion_of_their_definition(gamma: float) -> None:
    lengths = [1, 2, 7, 8, 9, 1, 33]
    reward = torch.randn(sum(lengths), generator=torch.Generator().manual_seed(0))
    remaining = torch.cat([torch.arange(length, 0, -1) for length in lengths])
    expected, following = [], 0.0
    for value, left in zip(reward.double().tolist()[::-1], remaining.tolist()[::-1], strict=True):
        following = value + (gamma * following if left > 1 else 0.0)
        expected.append(following)
    found = returns_to_go(reward, remaining, gamma)
    torch.testing.assert_close(found, torch.tensor(expected[::-1], dtype=torch.float64))
