"""`ComaDICELoss`: the contract, and the equations of both variants in float64."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import categorical_actor, make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble, value_network
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.comadice import ComaDICELoss
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import spec as bandit_spec
from tests.objectives.bandit import table
from tests.objectives.contract import CONTINUOUS, DISCRETE, SPECS, LossContract, losses_of, sequences

LOCAL = {"loss_lagrange": {"lagrange_multiplier"}, "loss_actor": {"actor_network"}}
VALUE = {"loss_value": {"value_network"}}
MIXED = {"loss_qvalue": {"qvalue_network", "mixer_network"}}


def networks(spec, mixer):
    actor, value = make_actor(spec, hidden_sizes=(8,)), value_network(spec, hidden_sizes=(8,))
    return actor, qvalue_ensemble(spec, 2, hidden_sizes=(8,)), value, make_mixer(spec, mixer, (8,))


class TestMixed(LossContract):
    mixer, variant = "linear", "paper"
    trained = {**VALUE, **MIXED, **LOCAL}
    team_terms = {"loss_value", "loss_qvalue", "loss_lagrange"}

    @classmethod
    def make(cls, spec, **kwargs):
        return ComaDICELoss(*networks(spec, cls.mixer), alpha=0.5, variant=cls.variant, **kwargs)


class TestIndependent(TestMixed):
    mixer, team_terms = "none", set()
    trained = {**VALUE, "loss_qvalue": {"qvalue_network"}, **LOCAL}


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return replace(spec, n_agents=1)


class TestOfficial(TestMixed):
    variant, team_terms = "official", {"loss_qvalue"}
    trained = {"loss_value": {"value_network", "value_lagrange_multiplier"}, **MIXED, **LOCAL}


class TestOfficialIndependent(TestOfficial):
    mixer, team_terms = "none", set()
    trained = {**TestOfficial.trained, "loss_qvalue": {"qvalue_network"}}


def ratio(x):
    return torch.where(x < 0, x.exp(), x + 1)


def conjugate(x):
    return torch.where(x < 0, x.exp() - 1, x**2 / 2 + x)


def divergence(x):
    return torch.where(x < 0, x.exp() * (x - 1) + 1, x**2 / 2)


def case(spec, kind, variant):
    """A loss with its networks moved away from their targets, and data with three starts."""
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    loss = ComaDICELoss(*nets, gamma=0.75, alpha=0.25, variant=variant).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow = deepcopy(nets)
    by_hand.nudge(*(net for net in nets if net is not None))
    with torch.no_grad():
        loss.lagrange_multiplier.fill_(0.125)
        if variant == "official":
            loss.value_lagrange_multiplier.fill_(-0.125)
    data = by_hand.double(spec.fake_batch(16))
    data["is_init"] = (torch.arange(16) % 6 == 0).unsqueeze(-1)
    return loss, nets, slow, data


def qvalue_by_hand(data, nets, slow, mixed):
    """``loss_qvalue``, and Q_i of the data's actions: online and target, ``[*B, N]``."""
    now, following = data["agents"], data["next"]
    reward, alive = by_hand.ends(data, mixed)
    next_mixed = by_hand.mixing(slow[3], following["state"])
    with torch.no_grad():
        next_v = by_hand.mlp(slow[2].module, following["agents", "observation"])[..., 0]
        y = reward + 0.75 * alive * by_hand.team(next_v, next_mixed)
    q, bar = (by_hand.chosen(by_hand.qvalues(net, now), now["action"]) for net in (nets[1], slow[1]))
    loss = sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))
    return loss, q.amin(-1).detach(), bar.amin(-1).detach()


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
def test_paper_equals_a_transcription(spec, kind):
    """The gradient of loss_value is written out: weights r(e / alpha) times gamma V'_tot - V_tot."""
    loss, nets, slow, data = case(spec, kind, "paper")
    found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()
    mixed, bar_mixed = (by_hand.mixing(net, data["state"]) for net in (nets[3], slow[3]))
    next_mixed = by_hand.mixing(slow[3], data["next", "state"])
    if bar_mixed is not None:
        bar_mixed, next_mixed = ([x.detach() for x in pair] for pair in (bar_mixed, next_mixed))
    loss_q, _, bar = qvalue_by_hand(data, nets, slow, mixed)
    value = by_hand.team(by_hand.mlp(nets[2].module, data["agents", "observation"])[..., 0], bar_mixed)
    next_v = by_hand.mlp(nets[2].module, data["next", "agents", "observation"])[..., 0]
    next_v = by_hand.team(next_v, next_mixed)
    alive = by_hand.ends(data, mixed)[1]
    e = (by_hand.team(bar, bar_mixed) - value).detach()
    assert (e < 0).any() and (e > 0).any()
    start = 0.25 * value[[0, 6, 12]].mean()
    loss_v = start + (0.25 * conjugate(e / 0.25)).mean()
    slope = start + (ratio(e / 0.25) * (0.75 * alive * next_v - value)).mean()
    price = loss.lagrange_multiplier.detach().clone().requires_grad_()
    loss_n = (0.25 * conjugate((e - price) / 0.25)).mean() + price
    weight = ratio((e - 0.125) / 0.25)
    weight = weight.unsqueeze(-1) if mixed is not None else weight
    loss_pi = -(weight * by_hand.log_density(nets[0], data)).mean()
    terms = {"value": loss_v, "qvalue": loss_q, "lagrange": loss_n, "actor": loss_pi}
    for name, expected in terms.items():
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    parameters = (p for net in nets if net is not None for p in net.parameters())
    by_hand.assert_gradients(slope + loss_q + loss_pi, parameters)
    torch.testing.assert_close(loss.lagrange_multiplier.grad, torch.autograd.grad(loss_n, price)[0])
    torch.testing.assert_close(loss.lagrange_multiplier.grad, 1 - ratio((e - 0.125) / 0.25).mean())


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
def test_official_equals_a_transcription(spec, kind):
    loss, nets, slow, data = case(spec, kind, "official")
    found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()
    mixed, bar_mixed = (by_hand.mixing(net, data["state"]) for net in (nets[3], slow[3]))
    loss_q, q, bar = qvalue_by_hand(data, nets, slow, mixed)
    value = by_hand.mlp(nets[2].module, data["agents", "observation"])[..., 0]
    price = torch.tensor(-0.125, dtype=torch.float64, requires_grad=True)
    other = torch.tensor(0.125, dtype=torch.float64, requires_grad=True)
    e = by_hand.share(q - value, mixed)
    x = (e - price) / 0.25
    loss_v = 0.25 * value[[0, 6, 12]].mean() - 0.25 * divergence(x).detach().mean() + price
    loss_v = loss_v + (ratio(x) * (e.detach() - price)).mean()
    slow_e = by_hand.share((bar - value).detach(), bar_mixed)
    y = (slow_e - other) / 0.25
    loss_n = (ratio(y).detach() * (slow_e - other)).mean() - 0.25 * divergence(y).detach().mean() + other
    weight = ratio(y).detach().sum(-1, keepdim=True)
    loss_pi = -(weight * by_hand.log_density(nets[0], data)).mean()
    terms = {"value": loss_v, "qvalue": loss_q, "lagrange": loss_n, "actor": loss_pi}
    for name, expected in terms.items():
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    parameters = (p for net in nets if net is not None for p in net.parameters())
    by_hand.assert_gradients(sum(terms.values()), parameters)
    (expected,) = torch.autograd.grad(loss_n, other, retain_graph=True)
    torch.testing.assert_close(loss.lagrange_multiplier.grad, expected)
    torch.testing.assert_close(loss.value_lagrange_multiplier.grad, torch.autograd.grad(loss_v, price)[0])


def test_official_multiplier_and_capped_weights_by_hand():
    """Two agents of Q 2.5 and 1/2 - log 2, V 0, lambda 1/2, alpha 1: x is 2 and - log 2, r is 3 and 1/2."""
    torch.manual_seed(0)
    spec = bandit_spec(agents=2)
    actor, value = categorical_actor(spec, hidden_sizes=(8,)), table("local_value", 0.0)
    qvalue = table("local_qvalue", [2.5], [0.5 - math.log(2)])
    loss = ComaDICELoss(actor, qvalue, value, alpha=1.0, variant="official", max_weight=2.0)
    ForeachSoftUpdate(loss, tau=0.5)
    with torch.no_grad():
        loss.lagrange_multiplier.fill_(0.5)
    data = spec.fake_batch(1)
    data["agents", "action"] = torch.tensor([[0, 1]])
    out = loss(data)
    assert out["loss_lagrange"].item() == pytest.approx((4.0 - 0.5) / 2 + 0.5)  # f*(2), f*(- log 2), lambda
    (gradient,) = torch.autograd.grad(out["loss_lagrange"], loss.lagrange_multiplier, retain_graph=True)
    assert gradient.item() == pytest.approx(1 - (3 + 0.5) / 2)
    log_prob = actor.get_dist(data).log_prob(data["agents", "action"])
    torch.testing.assert_close(out["loss_actor"], -(2.0 + 0.5) * log_prob.mean())  # min(3, 2) + min(1/2, 2)
    assert out["mean_weight"].item() == pytest.approx((3 + 0.5) / 2)


def test_official_gradient_is_that_of_a_regression_on_q():
    """Of mean alpha g(x), not of the dual; but for the first states."""
    loss, nets, _, data = case(CONTINUOUS, "none", "official")
    data["is_init"][:] = False
    loss.value_loss(data).backward()
    value = by_hand.mlp(nets[2].module, data["agents", "observation"])[..., 0]
    now = data["agents"]
    q = by_hand.chosen(by_hand.qvalues(nets[1], now), now["action"]).amin(-1).detach()
    by_hand.assert_gradients((0.25 * divergence((q - value + 0.125) / 0.25)).mean(), nets[2].parameters())


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_a_batch_without_starts_has_no_start_term(variant):
    loss, _, _, data = case(CONTINUOUS, "linear", variant)
    loss.gamma = 1.0
    without = loss.value_loss(data)
    loss.gamma = 0.75
    data["is_init"][:] = False
    if variant == "paper":  # gamma scales nothing else but gradients
        torch.testing.assert_close(loss.value_loss(data), without)
    assert loss.value_loss(data).isfinite()
    data["is_init"][:] = True
    assert not loss.value_loss(data).isclose(without)


def test_starts_count_in_the_burn_in():
    torch.manual_seed(0)
    loss = make_algorithm("comadice", CONTINUOUS, hidden_sizes=[8], rnn_hidden_size=8, burn_in=2).loss
    data = sequences(CONTINUOUS, 8)
    assert data["is_init"][:, 0].all() and not data["is_init"][:, 1:].any()
    with_starts = loss.value_loss(data)
    data["is_init"][:] = False
    assert not loss.value_loss(data).isclose(with_starts)


def test_all_agents_have_the_weight_of_the_joint_action_up_to_its_cap():
    torch.manual_seed(0)
    loss = make_algorithm("comadice", DISCRETE, hidden_sizes=[8], alpha=0.1, max_weight=2.0).loss
    loss.reduction = "none"
    data = DISCRETE.fake_batch(32)
    data["agents", "action_mask"].fill_(True)  # an only legal action has log density 0
    log_prob = loss.actor_network.get_dist(data).log_prob(data["agents", "action"])
    weight = -loss(data)["loss_actor"] / log_prob
    torch.testing.assert_close(weight, weight[:, :1].expand(-1, 3))
    assert weight.max().item() == pytest.approx(2.0) and weight.min() < 1.9


def test_missing_starts_are_named():
    loss = make_algorithm("comadice", CONTINUOUS, hidden_sizes=[8]).loss
    with pytest.raises(KeyError, match=r"'is_init' is missing; found"):
        loss(CONTINUOUS.fake_batch(8).exclude("is_init"))


def test_starts_can_be_renamed():
    torch.manual_seed(0)
    loss, data = make_algorithm("comadice", CONTINUOUS, hidden_sizes=[8]).loss, CONTINUOUS.fake_batch(8)
    expected = loss(data)
    loss.set_keys(is_init=("team", "first"))
    data["team", "first"] = data["is_init"]
    del data["is_init"]
    for key, value in loss(data).items():
        torch.testing.assert_close(value, expected[key], msg=str(key))


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"variant": "offical"}, "did you mean 'official'"),
        ({"alpha": 0.0}, r"alpha.* 0\.0"),
        ({"max_weight": -1.0}, r"max_weight.* -1\.0"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("comadice", CONTINUOUS, hidden_sizes=[8], **kwargs)
