"""`OMARLoss`: the equations in float64, and what its search finds."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl import functional
from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.functional import CEMResult
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives import ForeachSoftUpdate, OMARLoss
from omiga_torchrl.specs import TeamSpec
from tests.objectives import transcription as by_hand
from tests.objectives.contract import CONTINUOUS, losses_of
from tests.objectives.cql_cases import builder, make_omar_loss, record_actions


def act(actor, observation):
    return by_hand.mlp(actor.module.network, observation).tanh()


def normal(x):
    return (-0.5 * (x / 0.2) ** 2 - math.log(0.2) - 0.5 * math.log(2 * math.pi)).sum(-1)


def masses_of(tried, actor, data, noise, variant):
    """Log volume of each of 3 + 3 + 3 candidates."""
    uniform = torch.full(tried[:3].shape[:-1], 2 * math.log(2), dtype=torch.float64)
    if variant == "official":  # minus the density of the noise itself
        return torch.cat([uniform, *(-normal(0.2 * part).exp() for part in noise)])
    now, following = data["agents", "observation"], data["next", "agents", "observation"]
    parts = [uniform]
    for k, seen in ((1, now), (2, following)):
        mean = act(actor, seen).detach()
        inside = torch.special.ndtr((1 - mean) / 0.2) - torch.special.ndtr((-1 - mean) / 0.2)
        parts.append(-(normal(tried[3 * k : 3 * k + 3] - mean) - inside.log().sum(-1)))
    return torch.cat(parts)


def build(mixer, **kwargs):
    """Loss, networks and target networks, all different, in double precision."""
    torch.manual_seed(0)
    build, actor = builder(CONTINUOUS, mixer), deterministic_actor(CONTINUOUS, hidden_sizes=(8,))
    nets = [actor.double(), build.qvalue().double(), build.mixer()]
    if nets[2] is not None:
        nets[2].double()
    loss = OMARLoss(*nets, num_action_samples=3, **kwargs).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow = deepcopy(nets)
    by_hand.nudge(*(net for net in nets if net is not None))
    return loss, nets, slow


def record_noise(monkeypatch):
    """The normal noise that the loss draws."""
    noise, randn = [], torch.randn

    def noisy(*size, **kwargs):
        noise.append(randn(*size, **kwargs))
        return noise[-1]

    monkeypatch.setattr(torch, "randn", noisy)
    return noise


@pytest.mark.parametrize("variant", ["paper", "official"])
@pytest.mark.parametrize("mixer", ["none", "linear"])
def test_losses_and_gradients_equal_a_transcription(mixer, variant, monkeypatch):
    options = {"gamma": 0.75, "cem_weight": 0.75, "cql_alpha": 0.5, "action_penalty": 0.125}
    loss, nets, slow = build(mixer, variant=variant, **options)
    actor, qvalue, mixing = nets
    data = by_hand.double(CONTINUOUS.fake_batch(6))
    sought, better = 2 * torch.rand(6, 3, 2).double() - 1, torch.rand(6, 3) < 0.5
    result = CEMResult(sought, torch.where(better, 99.0, -99.0).double())
    monkeypatch.setattr(functional, "cross_entropy_search", lambda *args, **kwargs: result)
    actions, noise = record_actions(monkeypatch), record_noise(monkeypatch)
    found = losses_of(loss(data))

    now, ahead = data["agents"], data["next", "agents", "observation"]
    mixed = by_hand.mixing(mixing, data["state"])
    q = by_hand.qvalues(qvalue, now)[..., 0, :]
    next_local = by_hand.twins(slow[1], ahead, act(slow[0], ahead))[..., 0, :].amin(-1)
    reward, alive = by_hand.ends(data, mixed)
    next_value = by_hand.team(next_local, by_hand.mixing(slow[2], data["next", "state"]))
    y = (reward + 0.75 * alive * next_value).detach()
    loss_q = sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))

    masses = masses_of(actions["candidates"], actor, data, noise, variant).detach().unsqueeze(-1)
    wide = now["observation"].expand(9, 6, 3, 5)
    every = by_hand.twins(qvalue, wide, actions["candidates"])[..., 0, :]
    w = 1.0 if mixed is None else mixed[0].unsqueeze(-1)
    loss_cql = 0.5 * ((w * every + masses).exp().sum(0).log() - w * q).sum(-1).mean()

    pi = act(actor, now["observation"])
    frozen = deepcopy(qvalue).requires_grad_(False)
    value = by_hand.share(by_hand.twins(frozen, now["observation"], pi)[..., 0, 0], mixed)
    best = torch.where(better.unsqueeze(-1), sought, pi.detach())
    loss_pi = (0.75 * ((pi - best) ** 2).mean(-1) - 0.25 * value + 0.125 * (pi**2).mean(-1)).mean()
    for name, expected in (("qvalue", loss_q), ("cql", loss_cql), ("actor", loss_pi)):
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    torch.stack(list(found.values())).sum().backward()
    parameters = [p for net in nets if net is not None for p in net.parameters()]
    by_hand.assert_gradients(loss_q + loss_cql + loss_pi, parameters)


class Hill(nn.Module):
    """Q of both critics: the best action is ``top`` of every feature, far from the middle."""

    def __init__(self, top, height=1.0):
        super().__init__()
        self.top, self.height = nn.Parameter(torch.tensor(top)), height

    def forward(self, observation, action):
        value = -self.height * (action - self.top).square().sum(-1)
        return torch.stack([value, -value], -1).unsqueeze(-2)  # only the first one is searched


def hill(top, spec=CONTINUOUS, **kwargs):
    torch.manual_seed(0)
    keys = [("agents", "observation"), ("agents", "action")]
    qvalue = TensorDictModule(Hill(top), keys, [("agents", "local_qvalue")])
    actor = deterministic_actor(spec, hidden_sizes=(8,))
    loss = OMARLoss(actor, qvalue, **kwargs)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss, actor


@pytest.mark.parametrize("spec", [CONTINUOUS, TeamSpec(3, 5, 2, 7, action_low=0.0, action_high=4.0)])
@pytest.mark.parametrize("cem_update", ["elites", "softmax"])
def test_the_policy_learns_what_the_search_finds(spec, cem_update):
    """Imitation alone, without the critic's gradient: c = 1."""
    middle, half = (spec.action_low + spec.action_high) / 2, (spec.action_high - spec.action_low) / 2
    top = middle + 0.7 * half
    options = {"cem_iterations": 6, "cem_num_samples": 30, "action_penalty": 0.0}
    loss, actor = hill(top, spec, cem_weight=1.0, cem_update=cem_update, **options)
    data, optimizer = spec.fake_batch(64), torch.optim.Adam(actor.parameters(), 0.03)
    assert loss(data)["cem_improvement"] > 0.1 * half**2
    for _ in range(150):
        loss.actor_loss(data).backward()
        optimizer.step()
        optimizer.zero_grad()
    action = actor(data.exclude(("agents", "action")))["agents", "action"]
    assert (action - top).abs().mean() < 0.05 * half
    assert loss(data)["cem_improvement"] < 0.01 * half**2


def error_of(loss, data, top):
    """Mean distance of the actions that the policy is to imitate."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            functional, "omar_actor_loss", lambda q, action, best, *args, **_: found.append(best) or q
        )
        loss.actor_loss(data)
    return (found[0] - top).abs().mean().item()


def test_refining_comes_nearer_and_wide_starts_stay_at_the_bounds():
    data, top = CONTINUOUS.fake_batch(256), 0.7
    errors = {
        "refined": error_of(hill(top, cem_iterations=4)[0], data, top),
        "random": error_of(hill(top, cem_iterations=4, cem_refit=False)[0], data, top),
        "released start": error_of(hill(top, cem_iterations=4, cem_init_std=2.0)[0], data, top),
    }
    assert 1.5 * errors["refined"] < errors["released start"] < errors["random"], errors


def test_a_policy_that_beats_the_search_is_not_pulled_away():
    loss, actor = hill(0.0, cem_weight=1.0, action_penalty=0.0, cem_iterations=1, cem_num_samples=5)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()  # plays 0, the best action
    assert loss.actor_loss(CONTINUOUS.fake_batch(64)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cem_weight": 1.5}, r"cem_weight is 1\.5"),
        ({"action_noise_std": 0.0}, r"action_noise_std is 0\.0"),
        ({"cem_init_std": -1.0}, r"cem_init_std is -1\.0"),
        ({"cem_num_samples": 4}, r"cem_num_samples must be >= cem_num_elites \(5\), got 4"),
        ({"cem_iterations": 0}, "cem_iterations is 0"),
        ({"cem_update": "elite"}, "unknown cem_update 'elite'; did you mean 'elites'"),
        ({"variant": "oficial"}, "unknown variant 'oficial'; did you mean 'official'"),
        ({"cql_alpha": -1.0}, r"cql_alpha is -1\.0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_algorithm("omar", CONTINUOUS, hidden_sizes=[8], **options)


def test_uniform_candidates_only(monkeypatch):
    torch.manual_seed(0)
    loss, actions = make_omar_loss(CONTINUOUS, action_noise_std=None), record_actions(monkeypatch)
    data = by_hand.double(CONTINUOUS.fake_batch(4))
    found = loss.double().cql_loss(data)
    candidates = actions["candidates"]
    assert candidates.shape == (3, 4, 3, 2) and candidates.abs().max() <= 1
    with loss.qvalue_network_params.to_module(loss.qvalue_network):
        wide = data["agents", "observation"].expand(3, 4, 3, 5)
        candidate_q = by_hand.twins(loss.qvalue_network, wide, candidates)[..., 0, :]
        q = by_hand.qvalues(loss.qvalue_network, data["agents"])[..., 0, :]
    expected = (candidate_q.exp().sum(0).log() + 2 * math.log(2) - q).sum(-1).mean()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_few_draws_are_enough_for_the_softmax_search():
    make_omar_loss(CONTINUOUS, cem_update="softmax", cem_num_samples=3)
