"""`OMARLoss`: the contract, the equations in float64, and what its search finds."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.algorithms.common import make_mixer, qvalue_ensemble
from omiga_torchrl.functional import Found
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.omar import OMARLoss
from omiga_torchrl.specs import TeamSpec
from tests.objectives import transcription as by_hand
from tests.objectives.contract import CONTINUOUS, LossContract, losses_of
from tests.objectives.cql_cases import make_omar_loss, one_agent


class TestIndependent(LossContract):
    samples = True
    team_terms = set()
    trained = {
        "loss_qvalue": {"qvalue_network"},
        "loss_cql": {"qvalue_network"},
        "loss_actor": {"actor_network"},
    }
    idle = {"loss_cql": ("body.2.bias",)}  # what is added to all values cancels
    options: dict[str, object] = {}

    @classmethod
    def make(cls, spec, **kwargs):
        return make_omar_loss(spec, **cls.options, **kwargs)

    def fit(self, spec):
        return CONTINUOUS


class TestOfficial(TestIndependent):
    options = {"variant": "official"}


class TestMixed(TestIndependent):
    options = {"mixer": "linear", "search": "softmax"}
    team_terms = {"loss_qvalue", "loss_cql"}
    idle = {"loss_cql": ("body.2.bias", "bias_head")}
    trained = {
        "loss_qvalue": {"qvalue_network", "mixer_network"},
        "loss_cql": {"qvalue_network", "mixer_network"},
        "loss_actor": {"actor_network"},
    }


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return one_agent(CONTINUOUS)


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
    actor, qvalue = (
        deterministic_actor(CONTINUOUS, hidden_sizes=(8,)),
        qvalue_ensemble(CONTINUOUS, 2, hidden_sizes=(8,)),
    )
    nets = [actor.double(), qvalue.double(), make_mixer(CONTINUOUS, mixer, (8,))]
    if nets[2] is not None:
        nets[2].double()
    loss = OMARLoss(*nets, samples=3, **kwargs).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow = deepcopy(nets)
    by_hand.nudge(*(net for net in nets if net is not None))
    return loss, nets, slow


def recorded(loss, monkeypatch):
    """Fills with the candidates and the normal noise that the loss draws."""
    tried, noise, original, randn = [], [], loss._at_actions, torch.randn

    def remember(inputs, drawn, **kwargs):
        tried.append(drawn)
        return original(inputs, drawn, **kwargs)

    def noisy(*size, **kwargs):
        noise.append(randn(*size, **kwargs))
        return noise[-1]

    monkeypatch.setattr(loss, "_at_actions", remember)
    monkeypatch.setattr(torch, "randn", noisy)
    return tried, noise


@pytest.mark.parametrize("variant", ["paper", "official"])
@pytest.mark.parametrize("mixer", ["none", "linear"])
def test_losses_and_gradients_equal_a_transcription(mixer, variant, monkeypatch):
    options = {"gamma": 0.75, "search_weight": 0.75, "cql_alpha": 0.5, "action_penalty": 0.125}
    loss, nets, slow = build(mixer, variant=variant, **options)
    actor, qvalue, mixing = nets
    data = by_hand.double(CONTINUOUS.fake_batch(6))
    sought, better = 2 * torch.rand(6, 3, 2).double() - 1, torch.rand(6, 3) < 0.5
    result = Found(sought, torch.where(better, 99.0, -99.0).double())
    monkeypatch.setattr(loss, "_search", lambda inputs: result)
    tried, noise = recorded(loss, monkeypatch)
    found = losses_of(loss(data))

    now, ahead = data["agents"], data["next", "agents", "observation"]
    mixed = by_hand.mixing(mixing, data["state"])
    q = by_hand.qvalues(qvalue, now)[..., 0, :]
    next_local = by_hand.twins(slow[1], ahead, act(slow[0], ahead))[..., 0, :].amin(-1)
    reward, alive = by_hand.ends(data, mixed)
    next_value = by_hand.team(next_local, by_hand.mixing(slow[2], data["next", "state"]))
    y = (reward + 0.75 * alive * next_value).detach()
    loss_q = sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))

    masses = masses_of(tried[0], actor, data, noise, variant).detach().unsqueeze(-1)
    wide = now["observation"].expand(9, 6, 3, 5)
    every = by_hand.twins(qvalue, wide, tried[0])[..., 0, :]
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
    bounds = {"low": spec.action_low, "high": spec.action_high}
    loss = OMARLoss(actor, qvalue, **bounds, **kwargs)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss, actor


@pytest.mark.parametrize("spec", [CONTINUOUS, TeamSpec(3, 5, 2, 7, action_low=0.0, action_high=4.0)])
@pytest.mark.parametrize("search", ["elites", "softmax"])
def test_the_policy_learns_what_the_search_finds(spec, search):
    """Imitation alone, without the critic's gradient: c = 1."""
    middle, half = (spec.action_low + spec.action_high) / 2, (spec.action_high - spec.action_low) / 2
    top = middle + 0.7 * half
    options = {"iterations": 6, "search_samples": 30, "action_penalty": 0.0}
    loss, actor = hill(top, spec, search_weight=1.0, search=search, **options)
    data, optimizer = spec.fake_batch(64), torch.optim.Adam(actor.parameters(), 0.03)
    assert loss(data)["search_gain"] > 0.1 * half**2
    for _ in range(150):
        loss.actor_loss(data).backward()
        optimizer.step()
        optimizer.zero_grad()
    action = actor(data.exclude(("agents", "action")))["agents", "action"]
    assert (action - top).abs().mean() < 0.05 * half
    assert loss(data)["search_gain"] < 0.01 * half**2


def error_of(loss, data, top):
    return (loss._search(data).action - top).abs().mean().item()


def test_refining_comes_nearer_and_wide_starts_stay_at_the_bounds():
    data, top = CONTINUOUS.fake_batch(256), 0.7
    errors = {
        "refined": error_of(hill(top, iterations=4)[0], data, top),
        "random": error_of(hill(top, iterations=4, refine=False)[0], data, top),
        "released start": error_of(hill(top, iterations=4, search_std=2.0)[0], data, top),
    }
    assert 1.5 * errors["refined"] < errors["released start"] < errors["random"], errors


def test_a_policy_that_beats_the_search_is_not_pulled_away():
    loss, actor = hill(0.0, search_weight=1.0, action_penalty=0.0, iterations=1, search_samples=5)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.zero_()  # plays 0, the best action
    assert loss.actor_loss(CONTINUOUS.fake_batch(64)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_weight": 1.5}, r"search_weight is 1\.5"),
        ({"candidate_noise": 0.0}, r"candidate_noise is 0\.0"),
        ({"search_std": -1.0}, r"search_std is -1\.0"),
        ({"search_samples": 4}, "search_samples is 4, elites 5"),
        ({"iterations": 0}, "iterations is 0"),
        ({"search": "elite"}, "unknown search 'elite'; did you mean 'elites'"),
        ({"variant": "oficial"}, "unknown variant 'oficial'; did you mean 'official'"),
        ({"cql_alpha": -1.0}, r"cql_alpha is -1\.0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_algorithm("omar", CONTINUOUS, hidden=[8], **options)


def test_uniform_candidates_only():
    torch.manual_seed(0)
    loss = make_omar_loss(CONTINUOUS, candidate_noise=None)
    drawn = loss._proposals(CONTINUOUS.fake_batch(4))
    assert drawn.action.shape == (3, 4, 3, 2)
    torch.testing.assert_close(drawn.log_density, torch.full((3, 4, 3), -2 * math.log(2)))
