from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, Uniform

from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.objectives.sampled_actions import SampledActions

MANY = 40_000


def of(kind, at, low=-1.0, high=1.0):
    """SampledActions of one feature around ``at``."""
    action = torch.full((1, 1), at, dtype=torch.float64)
    if kind == "uniform":
        return SampledActions.uniform(MANY, action, low=low, high=high)
    if kind == "policy":
        return SampledActions.from_policy(
            TanhGaussian(action, torch.ones_like(action), low=low, high=high), MANY
        )
    return SampledActions.gaussian(action, 0.4 * (high - low), MANY, low=low, high=high)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 3.0)])
@pytest.mark.parametrize(
    ("kind", "at"), [("uniform", 0.5), ("policy", 0.5), ("around", 0.5), ("around", 1.0)]
)
def test_estimates_integrals_over_the_box(kind, at, bounds):
    torch.manual_seed(0)
    low, high = bounds
    found = of(kind, at, low, high)
    assert (found.action >= low).all() and (found.action <= high).all()
    estimate = (found.action.squeeze(-1).square() * (-found.log_prob).exp()).mean()
    assert estimate.item() == pytest.approx((high**3 - low**3) / 3, rel=0.03)


def test_densities_sum_over_features():
    torch.manual_seed(0)
    action = torch.zeros(2, 3, 2)
    uniform = SampledActions.uniform(4, action, low=-2.0, high=2.0)
    expected = Independent(Uniform(-2 * torch.ones(2), 2 * torch.ones(2)), 1).log_prob(uniform.action)
    torch.testing.assert_close(uniform.log_prob, expected)
    around = SampledActions.gaussian(action, 0.1, 4, low=-1.0, high=1.0)  # 10 deviations from the bounds
    expected = Independent(Normal(action, torch.tensor(0.1)), 1).log_prob(around.action)
    torch.testing.assert_close(around.log_prob, expected)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_that_round_to_their_bounds_are_finite_samples(share, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda size, **kwargs: torch.full(size, share))
    found = SampledActions.gaussian(torch.zeros(1, 1), 0.001, 2, low=-1.0, high=1.0)  # 1000 deviations
    assert found.action.abs().max() < 0.01 and found.log_prob.isfinite().all()


def test_released_noise_is_clamped_after_its_density_was_taken(monkeypatch):
    noise = torch.tensor([-3.0, 0.5, 1.0, 30.0]).reshape(4, 1, 1)
    monkeypatch.setattr(torch, "randn", lambda *size, **kwargs: noise)
    found = SampledActions.clipped_gaussian(torch.zeros(1, 1), 0.2, 4, low=-1.0, high=1.0)
    torch.testing.assert_close(found.action.flatten(), torch.tensor([-0.6, 0.1, 0.2, 1.0]))
    expected = Normal(0.0, 0.2).log_prob(0.2 * noise.flatten())
    torch.testing.assert_close(found.log_prob.flatten(), expected)


def test_other_distributions_give_their_own_density():
    torch.manual_seed(0)
    policy = Independent(Normal(torch.zeros(2, 3, 2), torch.ones(2, 3, 2)), 1)
    found = SampledActions.from_policy(policy, 4)
    torch.testing.assert_close(found.log_prob, policy.log_prob(found.action))


def test_joined_keeps_the_order():
    parts = [
        SampledActions(torch.full((n, 1, 1, 1), float(n)), torch.full((n, 1, 1), float(n))) for n in (1, 2)
    ]
    whole = SampledActions.concatenate(parts)
    assert whole.action.flatten().tolist() == whole.log_prob.flatten().tolist() == [1.0, 2.0, 2.0]


def test_draws_far_inside_the_tail_stay_finite():
    """float32: a policy at one bound, and the other ten deviations away."""
    torch.manual_seed(0)
    found = SampledActions.gaussian(torch.full((1, 1), -1.0), 0.2, 1_000_000, low=-1.0, high=1.0)
    assert found.log_prob.isfinite().all() and found.log_prob.min() > -15
