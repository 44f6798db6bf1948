"""Weights of ICQ's actions and targets, by both estimates of partition functions."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omiga_torchrl.objectives import ICQVariant
from omiga_torchrl.objectives.icq_weights import log_weight
from omiga_torchrl.objectives.values import log_probs
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, sequences
from tests.objectives.icq_cases import make_loss, one_agent, ready, total


def test_actor_weight_puts_the_mixer_into_the_exponent():
    loss, data = ready(reduction="none", policy_temperature=0.7), sequences(CONTINUOUS, 8)
    with torch.no_grad():
        batch = loss.view(data)
        score = batch.mixer_output.weight * batch.q_min / 0.7
        weight = 32 * score.flatten(0, 1).softmax(0).unflatten(0, (8, 4))
        log_prob = loss.view(data).log_prob
    torch.testing.assert_close(loss(data)["loss_actor"], -weight * log_prob)


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
@pytest.mark.parametrize("advantage", ["qvalue", "td", "counterfactual"])
def test_weights_carry_no_gradient_to_the_critic(spec, advantage):
    loss = ready(spec, variant=ICQVariant(advantage=advantage))
    actor_loss = loss(sequences(spec, 4))["loss_actor"]
    critic = [p for p in loss.qvalue_network_params.values(True, True) if p.requires_grad]
    gradients = torch.autograd.grad(actor_loss, critic, allow_unused=True, retain_graph=True)
    assert all(one is None for one in gradients)
    actor = torch.autograd.grad(actor_loss, [*loss.actor_network_params.values(True, True)])
    assert any((one != 0).any() for one in actor)


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_behavior_weights_by_hand(spec):
    loss, data = (
        ready(spec, partition_estimate="behavior", reduction="none", td_lambda=0.0),
        sequences(spec, 4),
    )
    network = loss.behavior_network
    batch = loss.view(data)
    with torch.no_grad(), loss.behavior_network_params.to_module(network):
        distribution = network.get_dist(data.clone())
        drawn = None if spec.discrete else distribution.sample((10,))
        probability = distribution.probs if spec.discrete else torch.full((4, 4, 3, 10), 0.1)
    weights = []
    for target, alpha in ((True, 2.0), (False, 0.5)):
        with torch.no_grad():
            critic = batch.target if target else batch
            if spec.discrete:
                q_values = critic.q_values.squeeze(-1)
            else:
                q_values = torch.cat([critic.q_at(action) for action in drawn], -1)
            weight, q = critic.mixer_output.weight, critic.q_min
        z = (probability * (weight.unsqueeze(-1) * q_values / alpha).exp()).sum(-1)
        weights.append((weight * q / alpha).exp() / z)
    rho, value = weights[0].prod(-1)[:, 1:], total(loss, data, target=True)[:, 1:]
    y = data["next", "reward"][:, :-1, 0] + 0.99 * rho * value
    torch.testing.assert_close(loss.qvalue_target(data)[:, :-1], y)
    with torch.no_grad():
        log_prob = batch.log_prob
    torch.testing.assert_close(loss(data)["loss_actor"], -weights[1] * log_prob)


def test_product_of_agents_partition_functions_is_that_of_the_joint_action():
    loss, data = ready(DISCRETE, partition_estimate="behavior"), sequences(DISCRETE, 2)
    batch = loss.view(data)
    weight, bias = batch.target.mixer_output
    got = log_weight(batch.target, torch.tensor(2.0), loss.options).sum(-1)
    mass = batch.with_distribution("behavior_network", log_probs).exp().detach()
    every = weight.unsqueeze(-1) * batch.target.q_values.squeeze(-1)
    z = 0.0
    for joint in torch.cartesian_prod(*[torch.arange(4)] * 3):
        index = joint.view(1, 1, 3, 1).expand(2, 4, 3, 1)
        value = every.gather(-1, index).sum((-1, -2)) + bias
        z = z + mass.gather(-1, index).prod(-2).squeeze(-1) * (value / 2).exp()
    torch.testing.assert_close(got, batch.target.q_tot.squeeze(-1) / 2 - z.log())


def test_huge_alphas_are_behavior_cloning():
    for options in ({}, {"partition_estimate": "behavior"}):
        loss, data = ready(DISCRETE, policy_temperature=1e8, **options), sequences(DISCRETE, 8)
        with torch.no_grad():
            expected = -loss.view(data).log_prob.mean()
        torch.testing.assert_close(loss(data)["loss_actor"].detach(), expected, rtol=1e-4, atol=1e-5)


def test_td_advantage_leaves_out_steps_without_a_successor():
    spec = one_agent(CONTINUOUS)
    loss = ready(spec, variant=ICQVariant(advantage="td"), reduction="none", policy_temperature=1.3)
    data = sequences(spec, 8)
    value = total(loss, data).squeeze(-1)
    ended = data["next", "terminated"][..., 0]
    following = torch.cat([value[:, 1:], torch.zeros(8, 1)], 1) * ~ended
    error = data["next", "reward"].squeeze(-1) + 0.99 * following - value
    known = ended.clone()
    known[:, :-1] = True
    weight = torch.zeros(8, 4)
    weight[known] = known.sum() * (error[known] / 1.3).softmax(0)
    with torch.no_grad():
        log_prob = loss.view(data).log_prob
    torch.testing.assert_close(loss(data)["loss_actor"], -weight.unsqueeze(-1) * log_prob)


def test_a_variant_of_ones_own_is_taken_field_by_field():
    own = ICQVariant(softmax_per_step=True, policy_temperature=0.3, clamp_critic_weight=True)
    loss = make_loss(CONTINUOUS, variant=own, policy_temperature=None)
    assert loss.options == dataclasses.replace(own, critic_temperature=2.0, td_lambda=0.6)
    assert loss.policy_temperature.item() == pytest.approx(0.3)


def test_temperatures_are_separate_schedulable_buffers():
    loss, data = ready(), sequences(CONTINUOUS, 8)
    before = loss(data)
    loss.policy_temperature = 5.0
    after = loss(data)
    assert after["loss_actor"] != before["loss_actor"]
    assert after["loss_qvalue"] == before["loss_qvalue"]
    loss.critic_temperature = 0.1
    assert loss(data)["loss_qvalue"] != before["loss_qvalue"]
    assert {"policy_temperature", "critic_temperature", "gamma"} <= set(loss.state_dict())


def test_diagnostics():
    out = ready(policy_temperature=0.05, critic_temperature=0.1)(sequences(CONTINUOUS, 16))
    assert 1 / 192 < out["effective_sample_size"] < 1 and 0 < out["critic_effective_sample_size"] < 1
    assert out["actor_weight_max"] > 1 and out["critic_weight_max"] > 1
    assert out["mixer_weight"].shape == (3,)
