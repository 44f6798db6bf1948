"""A team of groups and the same data padded to one group learn the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tests.trainers.padded_teams import trained_returns

SEEDS = (0, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bc", "omiga", "iql", "icq", "cql"])
def test_padding_learns_what_groups_learn(name: str, record_property: Callable[[str, object], None]) -> None:
    steps = 1000 if name == "cql" else 3000
    means, spreads = [], []
    for padded in (False, True):
        runs = [trained_returns(name, seed, padded=padded, steps=steps, episodes=200) for seed in SEEDS]
        found = torch.stack(runs).mean(1)
        record_property("padded" if padded else "groups", found.tolist())
        means.append(found.mean().item())
        spreads.append(found.std().item())
    # Two means of three runs each: within the seeds' range, and no less than 1 % of the return.
    range_of_seeds = 3 * math.hypot(*spreads) / math.sqrt(len(SEEDS))
    assert abs(means[0] - means[1]) <= max(range_of_seeds, 0.01 * abs(means[0])), (means, spreads)
