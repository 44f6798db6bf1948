"""`CQLLoss` against the equations, written again in double precision."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch

from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.objectives import CQLLoss, ForeachSoftUpdate
from tests.objectives import transcription as by_hand
from tests.objectives.contract import CONTINUOUS, DISCRETE, losses_of
from tests.objectives.cql_cases import cql_networks, record_actions

M = 3


def build(spec, mixer, monkeypatch, inverse_temperature=0.0, **kwargs):
    """Loss, networks, target networks (all different), and a record of what the loss draws."""
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in cql_networks(spec, mixer, inverse_temperature)]
    loss = CQLLoss(
        *nets[:3],
        behavior_network=nets[3],
        penalty_inverse_temperature=inverse_temperature,
        **{"num_action_samples": M, "gamma": 0.75, "cql_alpha": 0.5, "entropy_coeff": 0.25, **kwargs},
    ).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow = deepcopy(nets)
    by_hand.nudge(*(net for net in nets if net is not None))
    return loss, nets, slow, record_actions(monkeypatch)


def twins_at(qvalue, observation, action):
    """Values ``[M, *B, N, 2]`` of actions ``[M, *B, N, A]``."""
    wide = observation.expand(*action.shape[:-1], -1)
    return by_hand.twins(qvalue, wide, action)[..., 0, :]


def densities(actor, observation, action):
    """Log densities under a tanh-Gaussian policy, by the change of variables."""
    loc, scale = by_hand.gaussian(actor, observation)
    y = action.atanh()
    normal = -0.5 * ((y - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
    return (normal - (1 - action**2).log()).sum(-1)


def sampled_masses(actor, data, drawn):
    """Minus the log density of every candidate: uniform, of pi(o), of pi(o')."""
    now, following = data["agents", "observation"], data["next", "agents", "observation"]
    uniform = torch.full(drawn[:M].shape[:-1], drawn.shape[-1] * math.log(2), dtype=torch.float64)
    of_policy = [
        -densities(actor, seen, drawn[k * M : (k + 1) * M]) for k, seen in ((1, now), (2, following))
    ]
    return torch.cat([uniform, *of_policy]).detach()


def logsumexp(x):
    return x.exp().sum(0).log()


def penalty(kind, every, data_value, masses, mixed):
    """One critic's penalty, ``[*B]`` or ``[*B, N]``; ``every [C, *B, N]``, ``data_value [*B, N]``."""
    if mixed is None:
        return logsumexp(every + masses) - data_value
    w, b = mixed
    total = by_hand.team(data_value, mixed)
    if kind == "joint":
        return logsumexp((w * every).sum(-1) + b + masses.sum(-1)) - total
    if kind == "summed":
        return logsumexp(w * every + b.unsqueeze(-1) + masses).sum(-1) - total
    agents = range(w.shape[-1])
    counterfactual = [  # the team's value with one agent's action replaced, from scratch
        logsumexp(by_hand.team(replaced(data_value, every, i), mixed) + masses[..., i]) - total
        for i in agents
    ]
    return torch.stack(counterfactual, -1)


def replaced(data_value, every, agent):
    local = data_value.expand_as(every).clone()
    local[..., agent] = every[..., agent]
    return local


def td_loss(data, mixed, next_local, target_mixer, q):
    reward, alive = by_hand.ends(data, mixed)
    next_mixed = by_hand.mixing(target_mixer, data["next", "state"])
    next_value = next_local if next_mixed is None else by_hand.team(next_local, next_mixed)
    y = (reward + 0.75 * alive * next_value).detach()
    return sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))


def check(loss, found, expected, nets):
    for name, value in expected.items():
        torch.testing.assert_close(found[f"loss_{name}"], value, rtol=1e-10, atol=1e-10)
    torch.stack(list(found.values())).sum().backward()
    parameters = [p for net in nets if net is not None for p in net.parameters()]
    by_hand.assert_gradients(sum(expected.values()), parameters)


@pytest.mark.parametrize("importance_sampling", [True, False])
@pytest.mark.parametrize(
    ("kind", "mixer"),
    [("counterfactual", "linear"), ("joint", "linear"), ("summed", "linear"), ("counterfactual", "none")],
)
def test_continuous_losses_and_gradients(kind, mixer, importance_sampling, monkeypatch):
    options = {"penalty": kind, "importance_sampling": importance_sampling}
    loss, nets, slow, drawn = build(CONTINUOUS, mixer, monkeypatch, **options)
    actor, qvalue, mixing, _ = nets
    data = by_hand.double(CONTINUOUS.fake_batch(6))
    now, following = data["agents"], data["next", "agents"]
    found = losses_of(loss(data))
    mixed = by_hand.mixing(mixing, data["state"])
    q = by_hand.qvalues(qvalue, now)[..., 0, :]
    target = by_hand.twins(slow[1], following["observation"], drawn["next"])[..., 0, :]
    next_local = torch.minimum(target[..., 0], target[..., 1])

    tried = drawn["candidates"]
    assert tried.shape[0] == 3 * M and (tried.abs() <= 1).all()
    masses = sampled_masses(actor, data, tried) if importance_sampling else torch.zeros(tried.shape[:-1])
    every = twins_at(qvalue, now["observation"], tried)
    each = [penalty(kind, every[..., e], q[..., e], masses, mixed) for e in range(2)]
    cql = 0.5 * sum(value.mean() for value in each)  # the mean over agents is the share 1 / n

    acted = drawn["policy"]
    loc, scale = by_hand.gaussian(actor, now["observation"])
    noise = ((acted.atanh() - loc) / scale).detach()
    action = (loc + scale * noise).tanh()
    torch.testing.assert_close(action, acted)
    frozen = deepcopy(qvalue).requires_grad_(False)
    value = by_hand.twins(frozen, now["observation"], action)[..., 0, :]
    share = by_hand.share(torch.minimum(value[..., 0], value[..., 1]), mixed)
    expected = {
        "qvalue": td_loss(data, mixed, next_local, slow[2], q),
        "cql": cql,
        "actor": (0.25 * densities(actor, now["observation"], action) - share).mean(),
    }
    check(loss, found, expected, nets)


def test_official_is_what_comadice_ran(monkeypatch):
    loss, nets, slow, drawn = build(CONTINUOUS, "linear", monkeypatch, variant="official")
    actor, qvalue, mixing, _ = nets
    data = by_hand.double(CONTINUOUS.fake_batch(6))
    found = losses_of(loss(data))
    mixed, q = by_hand.mixing(mixing, data["state"]), by_hand.qvalues(qvalue, data["agents"])[..., 0, :]
    following = data["next", "agents", "observation"]
    target = by_hand.twins(slow[1], following, drawn["next"])[..., 0, :]
    every = twins_at(qvalue, data["agents", "observation"], drawn["candidates"])
    w, b = mixed
    cql = 0.0
    for e in range(2):
        logs = logsumexp(w * every[..., e] + b.unsqueeze(-1)).sum(-1)
        cql = cql + 0.5 * (logs - ((w * q[..., e]).sum(-1) + b)).mean()
    smaller = torch.minimum(q[..., 0], q[..., 1]).detach()
    expected = {
        "qvalue": td_loss(data, mixed, torch.minimum(target[..., 0], target[..., 1]), slow[2], q),
        "cql": cql,
        "actor": -(smaller * by_hand.log_density(actor, data)).sum(-1).mean(),  # over agents a sum
    }
    check(loss, found, expected, nets)


def discrete_shares(behaviour, data, every, mixed, sharpness):
    """softmax(c KL(softmax of the counterfactual values || mu)), ``[*B, N]``; ``every [K, *B, N, 2]``."""
    legal = data["agents", "action_mask"].movedim(-1, 0)
    smaller = torch.minimum(mixed[0] * every[..., 0], mixed[0] * every[..., 1])
    p = smaller.exp() * legal / (smaller.exp() * legal).sum(0)
    mu = by_hand.probabilities(behaviour, data["agents"]).movedim(-1, 0)
    kl = torch.where(legal, p * (p / mu.clamp(min=1e-300)).clamp(min=1e-300).log(), 0.0).sum(0)
    return (sharpness * kl).softmax(-1).detach()


@pytest.mark.parametrize(
    ("mixer", "sharpness"), [("linear", 0.0), ("linear", 1.5), ("linear", -1.5), ("none", 0.0)]
)
def test_discrete_losses_and_gradients(mixer, sharpness, monkeypatch):
    loss, nets, slow, _ = build(DISCRETE, mixer, monkeypatch, inverse_temperature=sharpness)
    _, qvalue, mixing, behaviour = nets
    data = by_hand.double(DISCRETE.fake_batch(6))
    now, following = data["agents"], data["next", "agents"]
    found = losses_of(loss(data))
    mixed = by_hand.mixing(mixing, data["state"])
    every = by_hand.twins(qvalue, now["observation"])  # [*B, N, K, 2]
    q = by_hand.chosen(every, now["action"])

    ahead = by_hand.twins(qvalue, following["observation"]).amin(-1)
    best = torch.where(following["action_mask"], ahead, -torch.inf).argmax(-1)
    target = by_hand.chosen(by_hand.twins(slow[1], following["observation"]), best)
    tried = every.movedim(-2, 0)
    masses = torch.where(now["action_mask"], 0.0, -torch.inf).movedim(-1, 0).double()
    each = sum(penalty("counterfactual", tried[..., e], q[..., e], masses, mixed) for e in range(2))
    share = torch.full_like(q[..., 0], 1 / 3)
    if sharpness:
        share = discrete_shares(behaviour, data, tried, mixed, sharpness)
        assert share.std() > 0.01
    per_row = each.mean(-1) if mixed is None else (share * each).sum(-1)
    expected = {
        "qvalue": td_loss(data, mixed, target.amin(-1), slow[2], q),
        "cql": 0.5 * per_row.mean(),
    }
    if sharpness:
        expected["behavior"] = -by_hand.log_density(behaviour, data).mean()
    check(loss, found, expected, nets)


def test_discrete_joint_candidates_are_legal_and_weigh_all_joint_actions(monkeypatch):
    loss, nets, _, _ = build(DISCRETE, "linear", monkeypatch, penalty="joint", num_action_samples=4)
    data = by_hand.double(DISCRETE.fake_batch(5))
    scores = torch.rand(4, 5, 3, 4, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: scores)
    found = loss.cql_loss(data)
    legal = data["agents", "action_mask"]
    index = torch.where(legal, scores, -1.0).argmax(-1)  # [4, *B, N]
    mixed = by_hand.mixing(nets[2], data["state"])
    every = by_hand.twins(nets[1], data["agents", "observation"])
    masses = legal.sum(-1).double().log().expand(4, 5, 3)
    total = 0.0
    for e in range(2):
        q = by_hand.chosen(every, data["agents", "action"])[..., e]
        tried = torch.stack([by_hand.chosen(every, index[k])[..., e] for k in range(4)])
        total = total + 0.5 * penalty("joint", tried, q, masses, mixed).mean()
    torch.testing.assert_close(found, total, rtol=1e-10, atol=1e-10)


def test_continuous_shares_use_the_density_that_the_critics_imply(monkeypatch):
    """KL(exp(w Q) / Z || mu) by self-normalised samples; mu a tanh-Gaussian with a known density."""
    loss, nets, _, drawn = build(CONTINUOUS, "linear", monkeypatch, inverse_temperature=0.75)
    data = by_hand.double(CONTINUOUS.fake_batch(5))
    monkeypatch.setattr(
        type(loss.behavior_network),
        "get_dist",
        lambda self, td: TanhGaussian(torch.zeros(5, 3, 2).double(), torch.ones(5, 3, 2).double()),
    )
    found = loss.cql_loss(data)
    tried = drawn["candidates"]
    masses = sampled_masses(nets[0], data, tried)
    mixed = by_hand.mixing(nets[2], data["state"])
    every = twins_at(nets[1], data["agents", "observation"], tried)
    smaller = (mixed[0].unsqueeze(-1) * every).amin(-1)
    z = (smaller + masses).exp().mean(0)
    y = tried.atanh()
    log_mu = (-0.5 * y**2 - 0.5 * math.log(2 * math.pi) - (1 - tried**2).log()).sum(-1)
    weight = (smaller + masses).exp() / (smaller + masses).exp().sum(0)
    kl = (weight * (smaller - z.log() - log_mu)).sum(0)
    share = (0.75 * kl).softmax(-1)
    assert share.std() > 0.01
    q = by_hand.qvalues(nets[1], data["agents"])[..., 0, :]
    each = sum(penalty("counterfactual", every[..., e], q[..., e], masses, mixed) for e in range(2))
    torch.testing.assert_close(found, 0.5 * (share * each).sum(-1).mean(), rtol=1e-9, atol=1e-9)
