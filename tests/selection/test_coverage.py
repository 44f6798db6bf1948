"""`Coverage`: near one for what the data do, near zero far away from it."""

from __future__ import annotations

import torch

from omiga_torchrl import keys
from omiga_torchrl.selection import Coverage
from omiga_torchrl.specs import TeamSpec

ACTION = ("agents", "action")


def recording(spec, action):
    """20 episodes of 20 steps; actions are a function of the observation."""
    torch.manual_seed(0)
    data = spec.fake_batch(400)
    data[keys.EPISODE] = torch.arange(400) // 20
    data["agents", "action"] = action(data["agents", "observation"])
    return data


def test_continuous_actions():
    spec = TeamSpec(2, 2, 2, 5, action_low=-10.0, action_high=10.0)
    data = recording(spec, lambda seen: (seen + 0.3 * torch.randn_like(seen)).clamp(-2, 2))
    coverage, taken = Coverage(spec, data, states=300), data["agents", "action"]
    assert abs(coverage.of_data - 0.95) < 0.01 and coverage.of({ACTION: taken}) == coverage.of_data
    assert coverage.of({ACTION: data["agents", "observation"].clamp(-2, 2)}) > 0.9
    assert coverage.of({ACTION: torch.full_like(taken, 9.0)}) == 0
    half = torch.where(torch.arange(2).reshape(1, 2, 1) == 0, taken, 9.0)  # one agent of two
    assert 0.4 < coverage.of({ACTION: half}) < 0.5


def test_discrete_actions_need_an_equal_one():
    spec = TeamSpec(2, 2, 4, 5, discrete=True)
    data = recording(spec, lambda seen: (seen[..., 0] > 0).long())
    coverage, taken = Coverage(spec, data), data["agents", "action"]
    assert coverage.of({ACTION: taken}) > 0.95
    assert coverage.of({ACTION: torch.full_like(taken, 3)}) == 0
    opposite = coverage.of({ACTION: 1 - taken})
    assert 0 < opposite < 0.5  # near the border both are taken


def test_absent_agents_do_not_count():
    spec = TeamSpec(2, 2, 4, 5, discrete=True)
    data = recording(spec, lambda seen: (seen[..., 0] > 0).long())
    taken = data["agents", "action"].clone()
    taken[:100, 1] = 3
    data["agents", "agent_mask"] = torch.ones(400, 2, dtype=torch.bool)
    data["agents", "agent_mask"][:100, 1] = False
    assert Coverage(spec, data, states=400).of({ACTION: taken}) > 0.95
