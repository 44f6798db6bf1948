"""`TD3BCLoss`: the contract, the equations in float64, and what alpha does."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives import TD3BCLoss
from omiga_torchrl.specs import TeamSpec
from tests.objectives import transcription as by_hand
from tests.objectives.contract import CONTINUOUS, LossContract, losses_of
from tests.objectives.cql_cases import builder, record_actions


class _TD3BC(LossContract):
    mixer = "linear"

    def fit(self, spec):  # continuous actions only
        return CONTINUOUS

    @classmethod
    def make(cls, spec, **kwargs):
        build, actor = builder(spec, cls.mixer), deterministic_actor(spec, hidden_sizes=(8,))
        return TD3BCLoss(actor, build.qvalue(), build.mixer(), policy_noise=0.0, **kwargs)


class TestMixed(_TD3BC):
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}, "loss_actor": {"actor_network"}}


class TestIndependent(_TD3BC):
    mixer = "none"
    trained = {"loss_qvalue": {"qvalue_network"}, "loss_actor": {"actor_network"}}
    team_terms = set()


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return TeamSpec(1, 5, 2, 5)


def build(mixer, **kwargs):
    torch.manual_seed(0)
    parts = make_algorithm("td3_bc", CONTINUOUS, hidden_sizes=[8], mixer=mixer, policy_noise=0.0, **kwargs)
    parts.loss.double()
    return parts


@pytest.mark.parametrize("mixer", ["linear", "vdn", "none"])
def test_losses_and_gradients_equal_a_transcription(mixer):
    parts = build(mixer)
    data = CONTINUOUS.fake_batch(16).apply(lambda x: x.double() if x.dtype.is_floating_point else x)
    found = losses_of(parts.loss(data))
    torch.stack(list(found.values())).sum().backward()

    again = build(mixer)
    modules = dict(again.policy.named_modules())
    actor = next(modules[name.removesuffix(".body")] for name in modules if name.endswith("network.body"))
    q = again.loss.qvalue_network
    with again.loss.qvalue_network_params.to_module(q, preserve_module_state=False):
        twins = list(q.module.members)
        o, a, o2 = (
            data["agents", "observation"],
            data["agents", "action"],
            data["next", "agents", "observation"],
        )

        def values(o, a, head):
            return by_hand.mlp(head, o, a)[..., 0]

        def mixing(state):
            if mixer == "none":
                return None
            if mixer == "vdn":
                return torch.ones(16, 3, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)
            network = again.loss.mixer_network
            with again.loss.mixer_network_params.to_module(network, preserve_module_state=False):
                weight, bias = network.module.weights(state)
            return weight[..., 0], bias[..., 0]

        def team(local, state):
            mixed = mixing(state)
            return local if mixed is None else (mixed[0] * local).sum(-1) + mixed[1]

        with torch.no_grad():
            a2 = by_hand.mlp(actor, o2).tanh()
            smaller = torch.minimum(values(o2, a2, twins[0]), values(o2, a2, twins[1]))
            reward, alive = data["next", "reward"], 1 - data["next", "terminated"].double()
            if mixer != "none":
                reward, alive = reward[:, 0], alive[:, 0]
            y = reward + 0.99 * alive * team(smaller, data["next", "state"])
        loss_q = sum(((team(values(o, a, head), data["state"]) - y) ** 2).mean() for head in twins)
        pi = by_hand.mlp(actor, o).tanh()
        mixed = mixing(data["state"])
        weight = 1.0 if mixed is None else mixed[0].detach()
        part = weight * values(o, pi, twins[0])
        loss_pi = (((pi - a) ** 2).mean(-1) - 2.5 / part.abs().mean().detach() * part).mean()
        wanted_q = torch.autograd.grad(loss_q, list(again.parameter_groups["qvalue"]), allow_unused=True)
        wanted_pi = torch.autograd.grad(loss_pi, list(again.parameter_groups["actor"]))
    torch.testing.assert_close(found["loss_qvalue"], loss_q, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found["loss_actor"], loss_pi, rtol=1e-10, atol=1e-10)
    for group, wanted in (("qvalue", wanted_q), ("actor", wanted_pi)):
        for parameter, gradient in zip(parts.parameter_groups[group], wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-10)


def test_lambda_is_alpha_over_the_mean_size_of_q():
    """Values ten times as large give the same gradient to the policy: lambda divides by their size."""
    data, found = CONTINUOUS.fake_batch(32), []
    for factor in (1.0, 10.0):
        parts = build("none")
        parts.loss.float()
        with torch.no_grad():
            for name, parameter in parts.loss.named_parameters():
                if "qvalue_network" in name and name.endswith(("body_2_weight", "body_2_bias")):
                    parameter.mul_(factor)
        parts.loss.actor_loss(data).backward()
        found.append(torch.cat([p.grad.flatten() for p in parts.parameter_groups["actor"]]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_alpha_zero_is_cloning_of_the_mean():
    data = CONTINUOUS.fake_batch(32)
    parts = build("linear", alpha=0.0)
    parts.loss.float()
    action = parts.policy(data.clone().exclude(("agents", "action")))["agents", "action"]
    expected = (action - data["agents", "action"]).square().mean()
    torch.testing.assert_close(parts.loss.actor_loss(data), expected)


def test_target_noise_is_clipped_and_stays_in_the_bounds():
    data, actions = CONTINUOUS.fake_batch(64), []
    for policy_noise in (0.0, 5.0):
        torch.manual_seed(0)
        options = {"policy_noise": policy_noise, "noise_clip": 0.1}
        loss = make_algorithm("td3_bc", CONTINUOUS, hidden_sizes=[8], **options).loss
        with pytest.MonkeyPatch.context() as patch:
            recorded = record_actions(patch)
            loss.qvalue_loss(data)
        actions.append(recorded["next"])
    plain, noisy = actions
    assert (noisy - plain).abs().max() <= 0.1 + 1e-6 and noisy.abs().max() <= 1
    assert (noisy != plain).float().mean() > 0.9


def test_a_monotonic_mixer_weighs_values_with_its_slope():
    """With alpha = 1e6 cloning is nothing, and the gradient is that of - lambda dQ_tot / dQ_i Q_i."""
    parts, data = build("qmix", alpha=1e6), by_hand.double(CONTINUOUS.fake_batch(16))
    loss = parts.loss
    loss.actor_loss(data).backward()
    action = parts.policy(data.clone())["agents", "action"]
    with (
        loss.mixer_network_params.to_module(loss.mixer_network),
        loss.qvalue_network_params.to_module(loss.qvalue_network),
    ):
        at = (
            by_hand.qvalues(loss.qvalue_network, data["agents"])[..., 0, :].amin(-1).detach().requires_grad_()
        )
        total = loss.mixer_network.module(at.unsqueeze(-1), data["state"])
        (slope,) = torch.autograd.grad(total.sum(), at)
        value = slope * by_hand.twins(loss.qvalue_network, data["agents", "observation"], action)[..., 0, 0]
    assert slope.std() > 1e-4
    expected = torch.autograd.grad(
        -1e6 * (value / value.abs().mean().detach()).mean(), list(parts.policy.parameters())
    )
    for parameter, gradient in zip(parts.policy.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1.0)


def test_learns_the_better_of_two_modes():
    """Half of the data acts +0.5 with reward 1, half -0.5 with reward 0: TD3+BC goes to the first."""
    torch.manual_seed(0)
    spec = TeamSpec(1, 1, 1, 1)
    parts = make_algorithm("td3_bc", spec, hidden_sizes=[32], alpha=10.0)
    optimizer = torch.optim.Adam(parts.loss.parameters(), 1e-2)
    for _ in range(300):
        data = spec.fake_batch(64)
        better = torch.rand(64, 1) < 0.5
        data["agents", "observation"].zero_()
        data["agents", "action"] = torch.where(better, 0.5, -0.5).reshape(64, 1, 1)
        data["next", "reward"] = better.float()
        data["next", "terminated"].fill_(True)
        torch.stack(list(losses_of(parts.loss(data)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        parts.target_updater.step()
    data = spec.fake_batch(1).exclude(("agents", "action"))
    data["agents", "observation"].zero_()
    assert parts.policy(data)["agents", "action"].item() > 0.4


def test_discrete_tasks_are_refused_with_what_fits():
    with pytest.raises(ValueError, match=r"'td3_bc' is defined for continuous.*Choose from: .*bc"):
        make_algorithm("td3_bc", TeamSpec(3, 5, 4, 7, discrete=True))


def test_negative_alpha_is_refused():
    with pytest.raises(ValueError, match="alpha is -1"):
        make_algorithm("td3_bc", CONTINUOUS, alpha=-1)


def test_a_mixer_of_one_agent_is_refused():
    with pytest.raises(ValueError, match="one agent; expected at least two"):
        make_algorithm("td3_bc", TeamSpec(1, 5, 2, 5), mixer="linear")
