"""Conservative and other critics under mixers that are monotonic, and not linear."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import NetworkBuilder, make_algorithm
from omiga_torchrl.modules import LinearMixer
from omiga_torchrl.objectives import CQLLoss, ForeachSoftUpdate
from tests.objectives import transcription as by_hand
from tests.objectives.contract import CONTINUOUS, DISCRETE, losses_of
from tests.objectives.cql_cases import builder, cql_networks, record_actions

CASES = [
    ("cql", CONTINUOUS, {}),
    ("cql", DISCRETE, {}),
    ("cql", CONTINUOUS, {"penalty": "joint"}),
    ("cql", DISCRETE, {"penalty": "joint"}),
    ("cfcql", CONTINUOUS, {"penalty_inverse_temperature": 2.0}),
    ("cfcql", DISCRETE, {"penalty_inverse_temperature": 2.0}),
    ("omar", CONTINUOUS, {}),
    ("td3_bc", CONTINUOUS, {}),
    ("bcq", CONTINUOUS, {}),
    ("bcq", DISCRETE, {}),
]


def absent_agents(data):
    """One agent of every second row takes no part."""
    mask = torch.ones(data["agents", "observation"].shape[:-1], dtype=torch.bool)
    mask[::2, 1] = False
    data["agents", "agent_mask"], data["next", "agents", "agent_mask"] = mask, mask.clone()
    return data


@pytest.mark.parametrize(("name", "spec", "options"), CASES)
def test_a_linear_mixer_that_hides_its_weights_gives_the_same_losses(name, spec, options, monkeypatch):
    """The general formula, by mixing, against the one with w_i: losses and gradients."""
    results, data = [], by_hand.double(absent_agents(spec.fake_batch(8)))
    for interface in ("as_weight_module", "as_value_module"):
        torch.manual_seed(0)
        mixer = getattr(LinearMixer(spec.n_agents, spec.state_size, hidden_sizes=(8,)), interface)()
        monkeypatch.setattr(NetworkBuilder, "mixer", lambda build, mixer=mixer: mixer)
        loss = make_algorithm(name, spec, hidden_sizes=[8], mixer="linear", **options).loss.double()
        assert loss.has_linear_mixer == (interface == "as_weight_module")
        torch.manual_seed(1)
        losses = losses_of(loss(data))
        torch.stack(list(losses.values())).sum().backward()
        results.append((losses, [parameter.grad for parameter in loss.parameters()]))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-11)


def monotonic_loss(spec, mixer, monkeypatch, **options):
    torch.manual_seed(0)
    actor, qvalue, _, behavior = cql_networks(
        spec, inverse_temperature=options.get("penalty_inverse_temperature", 0.0)
    )
    loss = CQLLoss(actor, qvalue, mixer, behavior_network=behavior, num_action_samples=3, **options).double()
    ForeachSoftUpdate(loss, tau=0.5)
    return loss, qvalue.double(), record_actions(monkeypatch)


def qmix(spec):
    return builder(spec, "qmix").mixer().double()


def log_sums(team_q, mask=None):
    if mask is not None:
        team_q = team_q.masked_fill(~mask, -torch.inf)
    return team_q.logsumexp(-1)


@pytest.mark.parametrize("penalty", ["counterfactual", "joint"])
def test_continuous_penalties_mix_every_replaced_action(penalty, monkeypatch):
    mixer = qmix(CONTINUOUS)
    loss, qvalue, actions = monotonic_loss(
        CONTINUOUS, mixer, monkeypatch, penalty=penalty, importance_sampling=False
    )
    data = by_hand.double(CONTINUOUS.fake_batch(5))
    found = loss.cql_loss(data)
    q = by_hand.qvalues(qvalue, data["agents"])[..., 0, :]
    wide = data["agents", "observation"].expand(9, -1, -1, -1)
    candidates = by_hand.twins(qvalue, wide, actions["candidates"])[..., 0, :]  # [C, B, N, 2]

    def team(local):
        return mixer.module(local.unsqueeze(-1), data["state"])[..., 0]

    expected = 0.0
    for e in range(2):
        total = team(q[..., e])
        if penalty == "joint":
            team_q = torch.stack([team(c) for c in candidates[..., e]], -1)
            expected = expected + (log_sums(team_q) - total).mean()
            continue
        for i in range(3):
            replaced = []
            for c in candidates[..., e]:
                local = q[..., e].clone()
                local[:, i] = c[:, i]
                replaced.append(team(local))
            expected = expected + (log_sums(torch.stack(replaced, -1)) - total).mean() / 3
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_discrete_weights_follow_the_slope_of_the_mixer(monkeypatch):
    """softmax_i(c KL(softmax(dQ_tot / dQ_i Q_i) || mu_i)) of counterfactual penalties over legal actions."""
    mixer = qmix(DISCRETE)
    loss, qvalue, _ = monotonic_loss(DISCRETE, mixer, monkeypatch, penalty_inverse_temperature=3.0)
    data = by_hand.double(DISCRETE.fake_batch(5))
    found, mask = loss.cql_loss(data), data["agents", "action_mask"]
    q_values = by_hand.twins(qvalue, data["agents", "observation"])  # [B, N, K, 2]
    q = by_hand.chosen(q_values, data["agents", "action"])

    def team(local):
        return mixer.module(local.unsqueeze(-1), data["state"])[..., 0]

    at = q.amin(-1).detach().requires_grad_()
    (slope,) = torch.autograd.grad(team(at).sum(), at)
    p = (slope.unsqueeze(-1) * q_values.amin(-1)).masked_fill(~mask, -torch.inf).softmax(-1)
    with loss.behavior_network_params.to_module(loss.behavior_network):
        mu = by_hand.probabilities(loss.behavior_network, data["agents"])
    kl = torch.where(mask, p * (p.clamp(min=1e-300) / mu.clamp(min=1e-300)).log(), 0.0).sum(-1)
    weight = (3.0 * kl).softmax(-1).detach()
    assert weight.std() > 0.01
    expected = 0.0
    for e in range(2):
        for i in range(3):
            replaced = []
            for k in range(4):
                local = q[..., e].clone()
                local[:, i] = q_values[:, i, k, e]
                replaced.append(team(local))
            each = log_sums(torch.stack(replaced, -1), mask[:, i]) - team(q[..., e])
            expected = expected + (weight[:, i] * each).mean()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
