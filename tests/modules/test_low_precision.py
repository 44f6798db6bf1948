"""Policies and models in half precision: under autocast, and with parameters of half precision."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from omiga_torchrl.modules import (
    ConditionalVAE,
    TanhGaussian,
    categorical_actor,
    deterministic_actor,
    perturbation_network,
    tanh_gaussian_actor,
)
from omiga_torchrl.specs import TeamSpec

SPEC = TeamSpec(3, 5, 2, 7, action_low=-0.5, action_high=2.0)
DISCRETE = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
ACTION, OBSERVATION = ("agents", "action"), ("agents", "observation")
HALVES = [torch.bfloat16, torch.float16]


def autocast():
    return torch.autocast("cpu", torch.bfloat16)


def half(data, precision=torch.bfloat16):
    return data.apply(lambda x: x.to(precision) if x.dtype.is_floating_point else x)


def finite(*values):
    return all(value.isfinite().all() for value in values)


@pytest.fixture(params=["autocast", "parameters"])
def precision(request):
    """A function that readies a network and its data, and the context to run it in."""
    if request.param == "autocast":
        return (lambda network, data: (network, data)), autocast
    return (lambda network, data: (network.bfloat16(), half(data))), nullcontext


def extreme(spec):
    """Data with actions at the bounds and observations that drive networks to theirs."""
    data = spec.fake_batch(64)
    if not spec.discrete:
        data[ACTION][:8], data[ACTION][8:16] = spec.action_low, spec.action_high
    data[OBSERVATION][:32] *= 1000
    return data


def gradients(loss, network):
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


@pytest.mark.parametrize("precision_of", HALVES)
def test_distribution_of_half_precision_is_finite_at_its_limits(precision_of):
    loc = torch.tensor([-9.0, 0.0, 9.0], dtype=precision_of).reshape(3, 1)
    scale = torch.full((3, 1), -5.0, dtype=precision_of).exp()
    policy = TanhGaussian(loc, scale, low=-0.5, high=2.0)
    sample, log_prob = policy.rsample_with_log_prob((50,))
    assert sample.dtype == precision_of and log_prob.dtype == torch.float32
    assert finite(sample, log_prob, policy.log_prob(sample), policy.deterministic_sample)
    assert finite(policy.log_prob(torch.full((3, 1), 2.0, dtype=precision_of)))


def test_samples_of_half_precision_are_spread_like_those_of_single():
    """Made in single precision: in half, 0.01 away from 9 is 9."""
    torch.manual_seed(0)
    loc, scale = torch.full((1,), 2.0), torch.full((1,), 0.01)
    y = TanhGaussian(loc.bfloat16(), scale.bfloat16()).unbounded_sample((4000,))
    assert y.std().item() == pytest.approx(0.01, rel=0.1) and y.unique().numel() > 1000


@pytest.mark.parametrize("state_dependent_std", [True, False])
def test_gaussian_policies_are_finite(precision, state_dependent_std):
    (ready, context), spec = precision, SPEC
    network, data = ready(
        tanh_gaussian_actor(spec, hidden_sizes=(8,), state_dependent_std=state_dependent_std), extreme(spec)
    )
    with context():
        policy = network.get_dist(data.copy())
        sample, log_prob = policy.rsample_with_log_prob()
        of_data = policy.log_prob(data[ACTION])
        assert sample.dtype == data[OBSERVATION].dtype and log_prob.dtype == torch.float32
        loss = (of_data + log_prob).mean() + sample.square().mean()
    assert finite(sample, log_prob, of_data, *gradients(loss, network))


def test_bounded_and_perturbed_actions_are_finite(precision):
    ready, context = precision
    for make in (deterministic_actor, lambda spec, **network: perturbation_network(spec, 0.05, **network)):
        network, data = ready(make(SPEC, hidden_sizes=(8,)), extreme(SPEC))
        with context():
            action = network(data.copy())[ACTION]
        assert action.dtype == data[OBSERVATION].dtype
        assert finite(action, *gradients(action.square().mean(), network))


@pytest.mark.parametrize("max_latent", [None, 0.5])
def test_latent_models_are_finite(precision, max_latent):
    ready, context = precision
    network, data = ready(ConditionalVAE(SPEC, hidden_sizes=(8,), max_latent=max_latent), extreme(SPEC))
    observation, action = data[OBSERVATION], data[ACTION]
    with context():
        losses = network.log_density(observation, action, 3), network.squared_error_loss(observation, action)
        sample = network.sample(observation, 5)
    assert sample.dtype == observation.dtype and losses[0].dtype == torch.float32
    assert finite(
        sample, *losses, *(gradient for loss in losses for gradient in gradients(loss.mean(), network))
    )


def test_masked_policies_are_finite_and_give_illegal_actions_no_mass(precision):
    ready, context = precision
    network, data = ready(categorical_actor(DISCRETE, hidden_sizes=(8,)), extreme(DISCRETE))
    with context():
        policy = network.get_dist(data.copy())
        log_prob, entropy = policy.log_prob(data[ACTION]), policy.entropy()
    assert (policy.probs[~data["agents", "action_mask"]] == 0).all()
    assert finite(log_prob, entropy, *gradients(log_prob.mean() + entropy.mean(), network))


def test_under_autocast_networks_answer_in_the_precision_of_their_inputs():
    data = SPEC.fake_batch(8)
    with autocast():
        for share in (True, False):
            network = tanh_gaussian_actor(SPEC, hidden_sizes=(8,), share_params=share)
            found = network(data.copy().exclude(ACTION))
            assert found["agents", "loc"].dtype == found[ACTION].dtype == torch.float32
