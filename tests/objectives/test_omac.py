"""`OMACLoss`: the contract, the equations in float64, and what expectiles do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torch.nn import functional as F
from torchrl.modules import MLP

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble, value_network
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.omac import OMACLoss, coupled_output
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import ninety_ten, table, train
from tests.objectives.bandit import spec as bandit_spec
from tests.objectives.contract import (
    CONTINUOUS,
    DISCRETE,
    SPECS,
    LossContract,
    losses_of,
)

WEIGHT, BIAS = ("agents", "mixer_weight"), "mixer_bias"


def mixing_networks(spec):
    """V_s, the weights of V_tot, and those of Q_tot that follow them."""
    shared = MLP(spec.state_size, 1, num_cells=[8], activation_class=nn.ReLU)
    coupled = CoupledCredit(spec, hidden_sizes=(8,), ratio=2.0)
    return (
        TensorDictModule(shared, ["state"], [BIAS]),
        TensorDictModule(CreditWeights(spec, hidden_sizes=(8,)), ["state"], [WEIGHT]),
        TensorDictModule(
            coupled, ["state", ("agents", "action"), WEIGHT, BIAS], [("agents", "w"), "shared_qvalue"]
        ),
    )


def networks(spec):
    local = (
        make_actor(spec, hidden_sizes=(8,)),
        qvalue_ensemble(spec, 2, hidden_sizes=(8,)),
        value_network(spec, hidden_sizes=(8,)),
    )
    return (*local, *mixing_networks(spec))


class TestTeam(LossContract):
    trained = {
        "loss_value": {"value_network"},
        "loss_state_value": {"state_value_network"},
        "loss_qvalue": {"qvalue_network", "mixer_network", "coupled_network"},
        "loss_actor": {"actor_network"},
    }
    team_terms = {"loss_qvalue", "loss_state_value"}

    @staticmethod
    def make(spec, **kwargs):
        return OMACLoss(*networks(spec), **kwargs)


class TestOneAgent(TestTeam):
    def fit(self, spec):
        return replace(spec, n_agents=1)


def layers(network, x):
    """An MLP of two layers."""
    first, last = (layer for layer in network.modules() if isinstance(layer, nn.Linear))
    return (x @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias


def joint(spec, data):
    action = data["agents", "action"]
    return (F.one_hot(action, spec.action_size).double() if spec.discrete else action).flatten(-2)


def credit(network, state):
    """softplus that is 1 at 0."""
    return (1 + (torch.e - 1) * layers(network, state).exp()).log()


def coupled_by_hand(spec, network, data, weight, shared):
    change = layers(network, torch.cat([data["state"], joint(spec, data)], -1))
    return weight * 2.0 ** change[..., :-1].tanh(), shared + change[..., -1]


@SPECS
def test_losses_and_gradients_equal_a_transcription(spec):
    torch.manual_seed(0)
    nets = [net.double() for net in networks(spec)]
    loss = OMACLoss(*nets, gamma=0.75, expectile=0.8, temperature=0.5, max_weight=0.5).double()
    ForeachSoftUpdate(loss, tau=0.5)
    _, slow_q, slow_v, slow_shared, slow_credit, slow_coupled = deepcopy(nets)
    actor, qvalue, value, shared, weights, coupled = nets
    by_hand.nudge(*nets)
    data = by_hand.double(spec.fake_batch(16))
    found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()

    now, following = data["agents"], data["next"]
    with torch.no_grad():
        slow = by_hand.chosen(by_hand.qvalues(slow_q, now), now["action"]).amin(-1)
        w, v_s = credit(slow_credit, data["state"]), layers(slow_shared, data["state"])[..., 0]
        w_q, q_s = coupled_by_hand(spec, slow_coupled, data, w, v_s)
        rest = (q_s + (w_q * slow).sum(-1)) - (w * slow).sum(-1)
        next_v = by_hand.mlp(slow_v.module, following["agents", "observation"])[..., 0]
        total = layers(slow_shared, following["state"])[..., 0]
        total = total + (credit(slow_credit, following["state"]) * next_v).sum(-1)
        y = following["reward"][..., 0] + 0.75 * (1 - following["terminated"].double()[..., 0]) * total
        v_s = layers(shared, data["state"])[..., 0]
    w_q, q_s = coupled_by_hand(spec, coupled, data, credit(weights, data["state"]), v_s)
    q = by_hand.chosen(by_hand.qvalues(qvalue, now), now["action"])
    loss_q = sum(((q_s + (w_q * q[..., e]).sum(-1) - y) ** 2).mean() for e in range(2))
    u = slow - by_hand.mlp(value.module, now["observation"])[..., 0]
    loss_v = torch.where(u < 0, 0.2 * u**2, 0.8 * u**2).mean()
    u_s = rest - layers(shared, data["state"])[..., 0]
    loss_s = torch.where(u_s < 0, 0.2 * u_s**2, 0.8 * u_s**2).mean()
    weight = (2.0 * u.detach()).exp()
    assert (weight > 0.5).any() and (weight < 0.5).any()
    loss_pi = -(weight.clamp(max=0.5) * by_hand.log_density(actor, data)).mean()
    terms = {"value": loss_v, "state_value": loss_s, "qvalue": loss_q, "actor": loss_pi}
    for name, expected in terms.items():
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    by_hand.assert_gradients(sum(terms.values()), (p for net in nets for p in net.parameters()))


@pytest.mark.parametrize(("expectile", "low", "high"), [(0.5, 0.09, 0.11), (0.99, 0.9, 1.1)])
def test_team_value_goes_from_the_mean_to_the_best_reward_of_the_data(expectile, low, high):
    """Whatever Q_tot gives to its shared part: each part of V_tot is the expectile of its own."""
    torch.manual_seed(0)
    spec, data = bandit_spec(), ninety_ten()
    actor = make_actor(spec, hidden_sizes=(8,))
    local = table("local_qvalue", [0.0], [0.0]), table("local_value", 0.0)
    loss = OMACLoss(actor, *local, *mixing_networks(spec), expectile=expectile, temperature=0.1)
    train(loss, data, 250, lr=0.02, tau=0.2)
    train(loss, data, 150, lr=0.002, tau=0.2)
    with torch.no_grad():
        batch = loss.view(data)
        weight_q, shared_q = coupled_output(batch)
        total_q = shared_q + (weight_q * batch.q[..., 0]).sum(-1)
        total_v = batch.v_tot
    out = loss(data)
    assert out["global_qvalue"].item() == pytest.approx(total_q.mean().item())
    assert out["global_value"].item() == pytest.approx(total_v.mean().item())
    torch.testing.assert_close(total_q, data["next", "reward"][..., 0], atol=0.03, rtol=0)
    assert low < total_v[0].item() < high
    assert actor.get_dist(data[:1]).probs[0, 0, 1].item() > 0.12  # cloning plays it in 0.1


def test_advantages_of_both_totals_agree_when_credit_is_the_same():
    """With ratio 1: Q_tot - V_tot = (Q_s - V_s) + sum_i w_i (Q_i - V_i)."""
    torch.manual_seed(0)
    loss = make_algorithm("omac", CONTINUOUS, hidden_sizes=[8], ratio=1.0).loss
    batch = loss.view(CONTINUOUS.fake_batch(8))
    coupled, mixer = coupled_output(batch), batch.mixer_output
    assert coupled.weight.equal(mixer.weight) and not coupled.bias.isclose(mixer.bias).any()


@pytest.mark.parametrize("agents", [3, 1])
@pytest.mark.parametrize("mixer", ["vdn", "qmix", "none"])
def test_other_mixers_are_refused_with_a_reason(agents, mixer):
    with pytest.raises(ValueError, match=f"mixer must be .*got '{mixer}'. OMAC couples the weights"):
        make_algorithm("omac", replace(CONTINUOUS, n_agents=agents), hidden_sizes=[8], mixer=mixer)


@pytest.mark.parametrize("mixer", ["linear", "qmix", "none"])
def test_the_loss_itself_refuses_other_mixers(mixer):
    nets = list(networks(CONTINUOUS))
    nets[4] = make_mixer(CONTINUOUS, mixer, (8,))
    with pytest.raises(ValueError, match=r"OMACLoss: mixer_network must write .*mixer_weight.* only"):
        OMACLoss(*nets)


def test_one_hot_and_trailing_actions_equal_integers():
    torch.manual_seed(0)
    loss, data = make_algorithm("omac", DISCRETE, hidden_sizes=[8]).loss, DISCRETE.fake_batch(8)
    expected, action = loss(data), data["agents", "action"]
    for other in (F.one_hot(action, 4), action.unsqueeze(-1)):
        data["agents", "action"] = other
        for key, value in losses_of(loss(data)).items():
            torch.testing.assert_close(value, expected[key], msg=key)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"expectile": 1.0}, r"expectile.* 1\.0"),
        ({"temperature": -1.0}, r"temperature.* -1\.0"),
        ({"max_weight": 0.0}, r"max_weight.* 0\.0"),
        ({"ratio": 0.0}, r"ratio.* 0\.0"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("omac", CONTINUOUS, hidden_sizes=[8], **kwargs)
