from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.modules import ConditionalVAE, behavior_model
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(2, 3, 1, 4)
WIDE = TeamSpec(2, 3, 2, 4, action_low=-0.5, action_high=2.0)
DISCRETE = TeamSpec(2, 3, 4, 4, discrete=True, masked=True)


def test_samples_are_actions_inside_the_bounds():
    torch.manual_seed(0)
    model = ConditionalVAE(WIDE, hidden_sizes=(8,))
    with torch.no_grad():
        model.log_std.fill_(2.0)
    action = model.sample(torch.randn(5, 2, 3), 100)
    assert action.shape == (100, 5, 2, 2)
    assert action.min() == -0.5 and action.max() == 2.0


def test_distribution_has_the_shapes_of_the_team():
    model, data = ConditionalVAE(WIDE, hidden_sizes=(8,)), WIDE.fake_batch(6, 5)
    found = model.get_dist(data)
    assert found.batch_shape == (6, 5, 2) and found.event_shape == (2,)
    assert found.log_prob(data["agents", "action"]).shape == (6, 5, 2)
    assert found.sample((3,)).shape == (3, 6, 5, 2, 2) and found.sample().shape == (6, 5, 2, 2)
    assert model(data.clone())["agents", "action"].shape == (6, 5, 2, 2)


def test_limited_latents_give_the_means_of_the_decoder():
    model = ConditionalVAE(SPEC, hidden_sizes=(8,), max_latent=1e-6)
    observation = torch.randn(4, 2, 3)
    first = model.sample(observation, 50)
    mean = model.decode(observation, torch.zeros(4, 2, model.latent_size))
    torch.testing.assert_close(first, mean.expand_as(first))


def test_importance_weighting_tightens_the_bound_to_the_density():
    """One latent, a density known by numerical integration over it."""
    torch.manual_seed(0)
    model = ConditionalVAE(SPEC, hidden_sizes=(8,), latent_size=1).double()
    observation, action = torch.randn(1, 2, 3).double(), torch.rand(1, 2, 1).double()
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    latent = grid.reshape(-1, 1, 1, 1).expand(-1, 1, 2, 1)
    with torch.no_grad():
        mean = model.decode(observation.expand(4001, 1, 2, 3), latent)
        spread = model.log_std.exp()
        density = torch.distributions.Normal(mean, spread).log_prob(action).sum(-1)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(latent).sum(-1)
        exact = torch.trapezoid((density + prior).exp(), grid, dim=0).log()
        few = torch.stack([model.log_density(observation, action) for _ in range(2000)])
        many = model.log_density(observation, action, samples=20_000)
    assert (few.mean(0) < exact).all()
    torch.testing.assert_close(many, exact, atol=0.02, rtol=0)
    # a mean of weights is unbiased whatever their number
    torch.testing.assert_close(few.exp().mean(0), exact.exp(), rtol=0.1, atol=0)


def test_density_of_several_actions_is_that_of_each():
    torch.manual_seed(0)
    spec = TeamSpec(2, 3, 2, 4)
    model, data = ConditionalVAE(spec, hidden_sizes=(8,)), spec.fake_batch(4)
    model._noise = lambda shape, like: torch.full(tuple(shape), 0.3)
    drawn = torch.rand(5, 4, 2, 2)
    distribution = model.get_dist(data)
    each = torch.stack([distribution.log_prob(action) for action in drawn])
    torch.testing.assert_close(distribution.log_prob(drawn), each)


def test_density_is_that_of_rescaled_actions():
    """Scaling the action range by s divides the density by s, and learns alike."""
    torch.manual_seed(0)
    narrow = ConditionalVAE(TeamSpec(2, 3, 1, 4), hidden_sizes=(8,))
    wide = ConditionalVAE(TeamSpec(2, 3, 1, 4, action_low=0.0, action_high=4.0), hidden_sizes=(8,))
    wide.load_state_dict(narrow.state_dict())
    observation, action = torch.randn(5, 2, 3), 2 * torch.rand(5, 2, 1) - 1
    torch.manual_seed(1)
    first = narrow.log_density(observation, action)
    torch.manual_seed(1)
    second = wide.log_density(observation, 2 * action + 2)
    torch.testing.assert_close(second, first - torch.tensor(2.0).log())


def test_learns_two_modes_that_a_gaussian_cannot():
    torch.manual_seed(0)
    model = ConditionalVAE(SPEC, hidden_sizes=(32,))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    observation = torch.ones(128, 2, 3)
    for _ in range(400):
        action = 0.6 * (torch.rand(128, 2, 1) < 0.5).float().mul(2).sub(1) + 0.02 * torch.randn(128, 2, 1)
        loss = -model.get_dist(TensorDict({"agents": {"observation": observation}}, [128])).log_prob(action)
        loss.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    drawn = model.sample(observation[:1], 2000).flatten()
    assert (drawn.abs() > 0.4).float().mean() > 0.75  # of the best Gaussian: 0.5
    assert 0.3 < (drawn > 0).float().mean() < 0.7


def test_discrete_model_gives_illegal_actions_no_mass():
    model, data = behavior_model(DISCRETE, hidden_sizes=(8,)), DISCRETE.fake_batch(6)
    probability = model.get_dist(data).probs
    assert (probability[~data["agents", "action_mask"]] == 0).all()


def test_vae_of_discrete_actions_is_refused():
    with pytest.raises(ValueError, match=r"ConditionalVAE: .*discrete.*behavior_model"):
        ConditionalVAE(DISCRETE)
