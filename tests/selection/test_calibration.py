"""Calibration of the behaviour's fitted values, and values of it on a chain whose truth is known."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl import keys
from omiga_torchrl.selection import FQEConfig, PolicyActions, calibrate, fitted_values
from omiga_torchrl.specs import TeamSpec


def outcomes(reward, terminated, episode):
    outcome = {
        "reward": torch.tensor(reward).unsqueeze(-1),
        "terminated": torch.tensor(terminated).unsqueeze(-1),
    }
    return TensorDict({keys.EPISODE: torch.tensor(episode), "next": outcome}, [len(reward)])


def test_an_episode_that_was_cut_is_continued_with_the_value_of_its_last_step():
    data = outcomes([1.0, 1.0, 4.0, 2.0], [False, False, True, False], [0, 0, 1, 2])
    value = torch.tensor([[3.0, 6.0, 5.0, 7.0], [0.0, 0.0, 0.0, 0.0]])
    found = calibrate(data, value, gamma=0.5, reward_scale=10.0)
    # episode 0: 1 + 0.5 * 6 (seed 0) or + 0; episode 1 ended with 4; episode 2 is its continuation alone
    assert found.truth == [pytest.approx(10 * (4 + 4 + 7) / 3), pytest.approx(10 * (1 + 4 + 0) / 3)]
    assert found.estimate == [pytest.approx(10 * (3 + 5 + 7) / 3), 0.0]
    assert found.error == pytest.approx(-10 * 5 / 6)


def test_the_behaviours_values_are_its_returns():
    """Episodes of five steps that end, nine of ten pay 1; and a policy that earns nothing."""
    torch.manual_seed(0)
    spec, steps = TeamSpec(2, 5, 1, 5), torch.arange(5).repeat(80)
    seen = torch.nn.functional.one_hot(steps, 6).float()[:, :5]
    after = torch.nn.functional.one_hot(steps + 1, 6).float()[:, :5]
    pays = torch.rand(400) < 0.9  # by its action
    action = torch.where(pays, 0.5, -0.5).reshape(-1, 1, 1).expand(-1, 2, 1).contiguous()
    over = (steps == 4).unsqueeze(-1)
    outcome = {
        "agents": {"observation": after.unsqueeze(1).expand(-1, 2, -1)}, "state": after,
        "reward": pays.float().unsqueeze(-1), "done": over, "terminated": over.clone(),
    }  # fmt: skip
    agents = {"observation": seen.unsqueeze(1).expand(-1, 2, -1), "action": action}
    data = TensorDict(
        {"agents": agents, "state": seen, keys.EPISODE: torch.arange(400) // 5, "next": outcome}, [400]
    )
    lazy = {("agents", "action"): torch.full_like(action, -0.5)}
    config = FQEConfig(
        hidden_sizes=(32,), mixer_hidden_sizes=(16,), gamma=0.9, lr=5e-3, tau=0.2, batch_size=64,
        steps=200, behavior_steps=300, seeds=2,
    )  # fmt: skip
    found = fitted_values(spec, data, [[PolicyActions(lazy, lazy)]], config, reward_scale=2.0)
    behavior = 2 * 0.9 * (1 - 0.9**5) / 0.1
    assert found.calibration.continued == 0.0
    assert sum(found.calibration.estimate) / 2 == pytest.approx(behavior, abs=0.8)
    assert sum(found.calibration.truth) / 2 == pytest.approx(behavior, abs=0.8)
    assert abs(found.calibration.error) < 0.4
    assert found.value.abs().max() < 1.0
