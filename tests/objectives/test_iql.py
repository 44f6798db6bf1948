"""`IQLLoss`: the contract, the equations in float64, and expectiles of a bandit."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import categorical_actor, make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble, value_network
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.iql import IQLLoss
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import ninety_ten, spec, table, train
from tests.objectives.contract import (
    CONTINUOUS,
    SPECS,
    LossContract,
    losses_of,
)


def networks(spec, mixer):
    actor, value = make_actor(spec, hidden_sizes=(8,)), value_network(spec, hidden_sizes=(8,))
    return actor, qvalue_ensemble(spec, 2, hidden_sizes=(8,)), value, make_mixer(spec, mixer, (8,))


class TestMixed(LossContract):
    mixer = "linear"
    trained = {
        "loss_value": {"value_network"},
        "loss_qvalue": {"qvalue_network", "mixer_network"},
        "loss_actor": {"actor_network"},
    }

    @classmethod
    def make(cls, spec, **kwargs):
        return IQLLoss(*networks(spec, cls.mixer), **kwargs)


class TestIndependent(TestMixed):
    mixer = "none"
    team_terms = set()
    trained = {**TestMixed.trained, "loss_qvalue": {"qvalue_network"}}


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return replace(spec, n_agents=1)


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
def test_losses_and_gradients_equal_a_transcription(spec, kind):
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    loss = IQLLoss(*nets, gamma=0.75, temperature=0.5, expectile=0.8, max_weight=1.1).double()
    ForeachSoftUpdate(loss, tau=0.5)
    _, slow_q, _, slow_mixer = deepcopy(nets)
    actor, qvalue, value, mixer = nets
    present = [net for net in nets if net is not None]
    by_hand.nudge(*present)
    data = by_hand.double(spec.fake_batch(16))
    found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()

    now, following = data["agents"], data["next", "agents"]
    mixed, next_mixed = (
        by_hand.mixing(mixer, data["state"]),
        by_hand.mixing(slow_mixer, data["next", "state"]),
    )
    reward, alive = by_hand.ends(data, mixed)
    next_v = by_hand.mlp(value.module, following["observation"])[..., 0].detach()
    y = reward + 0.75 * alive * (next_v if next_mixed is None else by_hand.team(next_v, next_mixed).detach())
    q = by_hand.chosen(by_hand.qvalues(qvalue, now), now["action"])
    loss_q = sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))
    slow = by_hand.chosen(by_hand.qvalues(slow_q, now), now["action"]).detach()
    u = torch.minimum(slow[..., 0], slow[..., 1]) - by_hand.mlp(value.module, now["observation"])[..., 0]
    loss_v = torch.where(u < 0, 0.2 * u**2, 0.8 * u**2).mean()
    weight = (by_hand.share(u.detach(), mixed) / 0.5).exp()
    assert (weight > 1.1).any() and (weight < 1.1).any()
    loss_pi = -(weight.clamp(max=1.1) * by_hand.log_density(actor, data)).mean()
    for name, expected in (("value", loss_v), ("qvalue", loss_q), ("actor", loss_pi)):
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    by_hand.assert_gradients(loss_v + loss_q + loss_pi, (p for net in present for p in net.parameters()))


@pytest.mark.parametrize(
    ("expectile", "temperature", "good"),
    [(0.5, 10.0, 0.109), (0.9, 0.5, 0.451), (0.99, 1 / 3, 0.691), (0.999, 1 / 3, 0.691)],
)
def test_expectiles_tend_to_the_best_action_of_the_data(expectile, temperature, good):
    """The policy is mu exp(Q / temperature) / Z: the value cancels while no weight is clipped."""
    torch.manual_seed(0)
    actor, data = categorical_actor(spec(), hidden_sizes=(8,)), ninety_ten()
    qvalue, value = table("local_qvalue", [0.0], [1.0]), table("local_value", 0.5)  # Q knows the rewards
    train(IQLLoss(actor, qvalue, value, expectile=expectile, temperature=temperature), data, 300)
    found = value.module.values.item()
    # 0.1 expectile (1 - v) = 0.9 (1 - expectile) v
    exact = 0.1 * expectile / (0.1 * expectile + 0.9 * (1 - expectile))
    assert found == pytest.approx(exact, abs=0.01)
    assert {0.5: found < 0.11, 0.999: found > 0.98}.get(expectile, 0.11 < found < 0.98)
    assert actor.get_dist(data[:1]).probs[0, 0, 1].item() == pytest.approx(good, abs=0.02)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"expectile": 1.0}, r"expectile is 1.0; expected a number in \(0, 1\)"),
        ({"temperature": 0.0}, "IQLLoss: temperature is 0.0; expected a number > 0"),
        ({"max_weight": -1}, "max_weight is -1; expected a number > 0"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("iql", CONTINUOUS, hidden_sizes=[8], **kwargs)


def test_diagnostics_tell_what_is_clipped():
    out = make_algorithm("iql", CONTINUOUS, hidden_sizes=[8], max_weight=1e-6).loss(CONTINUOUS.fake_batch(8))
    assert out["clip_fraction"] == 1 and out["effective_sample_size"] == pytest.approx(1)
