from __future__ import annotations

import pytest
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.modules import (
    MaskedLogits,
    TanhGaussian,
    categorical_actor,
    make_actor,
    tanh_gaussian_actor,
)
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(3, 5, 2, 7, action_low=-0.5, action_high=2.0)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)


def observations(spec, *batch):
    return spec.fake_batch(*batch).exclude(("agents", "action"))


def test_samples_stay_in_bounds_and_random_differs_from_deterministic():
    policy, data = tanh_gaussian_actor(SPEC, hidden_sizes=(8,)), observations(SPEC, 64)
    with set_exploration_type(ExplorationType.RANDOM):
        first, second = policy(data.clone())["agents", "action"], policy(data.clone())["agents", "action"]
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        third, fourth = policy(data.clone())["agents", "action"], policy(data.clone())["agents", "action"]
    assert (first >= -0.5).all() and (first <= 2).all()
    assert not first.equal(second) and third.equal(fourth)


def test_deterministic_action_is_the_squashed_mean():
    distribution = TanhGaussian(torch.tensor([0.5]), torch.tensor([1.0]), low=0.0, high=4.0)
    assert distribution.deterministic_sample.item() == pytest.approx(
        2 * (1 + torch.tensor(0.5).tanh().item())
    )


def test_log_prob_of_samples_is_written():
    policy = tanh_gaussian_actor(SPEC, hidden_sizes=(8,), return_log_prob=True)
    with set_exploration_type(ExplorationType.RANDOM):
        out = policy(observations(SPEC, 4))
    expected = policy.get_dist(out).log_prob(out["agents", "action"])
    torch.testing.assert_close(out["agents", "action_log_prob"], expected, rtol=1e-3, atol=1e-3)


def test_sample_mean_matches_density():
    torch.manual_seed(0)
    distribution = TanhGaussian(
        torch.tensor([0.3], dtype=torch.float64), torch.tensor([0.8], dtype=torch.float64)
    )
    grid = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
    mean = torch.trapezoid(grid * distribution.log_prob(grid.unsqueeze(-1)).exp(), grid)
    assert distribution.sample((200_000,)).mean().item() == pytest.approx(mean.item(), abs=5e-3)


def test_illegal_actions_are_never_taken_and_get_no_gradient():
    policy, data = categorical_actor(DISCRETE, hidden_sizes=(8,)), observations(DISCRETE, 256)
    with set_exploration_type(ExplorationType.RANDOM):
        action = policy(data)["agents", "action"]
    mask = data["agents", "action_mask"]
    assert mask.gather(-1, action.unsqueeze(-1)).all()
    head = MaskedLogits(torch.nn.Identity())
    logits = torch.zeros(1, 1, 3, requires_grad=True)
    head(logits, torch.tensor([[[True, False, True]]])).log_softmax(-1)[..., 0].sum().backward()
    assert logits.grad[0, 0, 1] == 0 and logits.grad[0, 0, 2] != 0


def test_an_agent_without_any_legal_action_makes_nothing_nan():
    policy = categorical_actor(DISCRETE, hidden_sizes=(8,), return_log_prob=True)
    data = observations(DISCRETE, 2)
    data["agents", "action_mask"][:, 1] = False
    with set_exploration_type(ExplorationType.RANDOM):
        out = policy(data)
    assert out["agents", "logits"].isfinite().all() and out["agents", "action_log_prob"].isfinite().all()


def test_make_actor_follows_the_spec():
    assert make_actor(SPEC)(observations(SPEC, 2))["agents", "action"].dtype == torch.float32
    assert make_actor(DISCRETE)(observations(DISCRETE, 2))["agents", "action"].dtype == torch.int64


def test_samples_know_their_log_probability():
    torch.manual_seed(0)
    distribution = TanhGaussian(torch.zeros(3, 2), torch.ones(3, 2), low=0.0, high=4.0)
    action, log_prob = distribution.rsample_with_log_prob((100,))
    torch.testing.assert_close(log_prob, distribution.log_prob(action), atol=1e-3, rtol=1e-3)
    saturated = TanhGaussian(torch.full((3, 2), 9.0), torch.full((3, 2), 0.02))
    action, log_prob = saturated.rsample_with_log_prob((100,))
    assert (action == 1).any() and (log_prob > 30).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_masks_of_another_dtype_are_masks(dtype):
    policy, data = categorical_actor(DISCRETE, hidden_sizes=(8,)), observations(DISCRETE, 8)
    expected = policy.get_dist(data.clone()).logits
    data["agents", "action_mask"] = data["agents", "action_mask"].to(dtype)
    torch.testing.assert_close(policy.get_dist(data).logits, expected)
