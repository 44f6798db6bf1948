"""Policies of censored Gaussians: samples, modes, likelihoods, and every algorithm that clones with them."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.algorithms import ALGORITHMS, LikelihoodConfig, make_algorithm
from omiga_torchrl.modules import CensoredGaussian, is_censored, make_actor
from omiga_torchrl.policies import load_policy, save_policy
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.together import RunGroup

CLIPPED = TeamSpec(2, 4, 2, 5, clipped=True)
CLONING = sorted(name for name, one in ALGORITHMS.items() if issubclass(one.config, LikelihoodConfig))


def clipped_batch(spec, *batch):
    """Random data, about half of its actions on a bound."""
    data = spec.fake_batch(*batch)
    for group in spec.groups:
        data[group, "action"] = (2 * data[group, "action"]).clamp(-1, 1)
    return data


def test_samples_are_on_the_bounds_as_often_as_they_should():
    torch.manual_seed(0)
    policy = CensoredGaussian(torch.tensor([0.5]), torch.tensor([0.8]), low=0.0, high=4.0)
    samples = policy.sample((100_000,))
    above = (samples == 4).double().mean().item()
    assert above == pytest.approx(1 - Normal(0.5, 0.8).cdf(torch.tensor(1.0)).item(), abs=5e-3)
    assert policy.log_prob(torch.tensor([4.0])).exp().item() == pytest.approx(above, abs=5e-3)
    assert policy.deterministic_sample.item() == 3.0
    assert CensoredGaussian(torch.tensor([7.0]), torch.ones(1)).deterministic_sample.item() == 1.0


def test_a_policy_acts_with_the_clipped_mean_and_with_samples():
    policy, data = make_actor(CLIPPED, distribution="censored", hidden_sizes=(8,)), CLIPPED.fake_batch(64)
    data = data.exclude(("agents", "action"))
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        out = policy(data.clone())
    assert torch.equal(out["agents", "action"], out["agents", "loc"].clamp(-1, 1))
    with set_exploration_type(ExplorationType.RANDOM):
        action = policy(data.clone())["agents", "action"]
    assert (action.abs() == 1).any() and (action.abs() <= 1).all()
    with pytest.raises(ValueError, match="distribution"):
        make_actor(CLIPPED, distribution="gauss")


@pytest.mark.parametrize("name", CLONING)
def test_every_cloning_algorithm_trains_on_clipped_actions(name):
    torch.manual_seed(0)
    parts = make_algorithm(name, CLIPPED, hidden_sizes=[8])
    assert is_censored(parts.policy)
    assert not is_censored(make_algorithm(name, CLIPPED, hidden_sizes=[8], distribution="tanh").policy)
    loss = parts.loss(clipped_batch(CLIPPED, *((8, 4) if ALGORITHMS[name].sequences else (32,))))
    sum(value.sum() for key, value in loss.items() if key.startswith("loss_")).backward()
    slopes = [one.grad for one in parts.policy.parameters() if one.grad is not None]
    assert slopes and all(one.isfinite().all() for one in slopes)
    assert any(one.abs().max() > 0 for one in slopes)


@pytest.mark.parametrize("name", ["omiga", "comadice"])
def test_the_official_variant_keeps_the_published_density(name):
    assert not is_censored(make_algorithm(name, CLIPPED, variant="official", hidden_sizes=[8]).policy)


@pytest.mark.parametrize("name", ["cql", "cfcql"])
def test_losses_that_integrate_over_actions_have_densities(name):
    assert not is_censored(make_algorithm(name, CLIPPED, hidden_sizes=[8]).policy)


def test_conservative_q_learning_that_clones_warns_of_clipped_actions():
    with pytest.warns(UserWarning, match=r"actions of agents are exactly on a bound.*'max_q'.*awac"):
        make_algorithm("cql", CLIPPED, hidden_sizes=[8], actor_objective="weighted_bc")


def test_groups_share_one_distribution():
    spec = TeamSpec.from_groups({"cars": TeamSpec(2, 4, 2, 9, clipped=True), "buses": TeamSpec(1, 3, 1, 9)})
    parts = make_algorithm("bc", spec, hidden_sizes=[8])
    assert is_censored(parts.policy)
    assert parts.loss(clipped_batch(spec, 16))["loss_actor"].isfinite()
    assert parts.policy(spec.fake_batch(4))["buses", "action"].shape == (4, 1, 1)


def test_a_saved_policy_is_loaded_as_it_was(tmp_path):
    arguments = {"hidden_sizes": [8]}
    policy = make_algorithm("bc", CLIPPED, **arguments).policy
    file = save_policy(tmp_path / "policy.pt", policy, algorithm="bc", spec=CLIPPED, arguments=arguments)
    assert is_censored(load_policy(file))


def trainer(seed=0, compile="none"):
    from torchrl.data import LazyTensorStorage, ReplayBuffer

    torch.manual_seed(100)
    buffer = ReplayBuffer(storage=LazyTensorStorage(64), batch_size=16)
    buffer.extend(clipped_batch(CLIPPED, 64))
    torch.manual_seed(seed)
    return OfflineTrainer(
        **make_algorithm("iql", CLIPPED, hidden_sizes=[8]).trainer_arguments,
        replay_buffer=buffer,
        total_steps=8,
        progress_bar=False,
        compile=compile,
        seed=seed,
    )


def weights(one):
    return torch.cat([value.flatten() for value in one.loss_module.actor_network_params.values(True, True)])


@pytest.mark.slow
def test_compiled_and_vectorised_training_is_the_same():
    alone = [trainer(seed) for seed in (0, 1)]
    compiled = trainer(0, "step")
    for one in (*alone, compiled):
        torch.manual_seed(one.seed)
        one.train()
    torch.testing.assert_close(weights(compiled), weights(alone[0]), rtol=1e-3, atol=1e-5)
    group = RunGroup()
    for seed in (0, 1):
        group.add(trainer(seed))
    group.train()
    for one, other in zip(alone, group.trainers, strict=True):
        torch.testing.assert_close(weights(one), weights(other), rtol=1e-3, atol=1e-5)
