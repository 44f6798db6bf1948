"""`AWACLoss`: the contract, the equations in float64, and the policy of a bandit."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import categorical_actor, make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.awac import AWACLoss, policy_value
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import ninety_ten, spec, table, train
from tests.objectives.contract import (
    CONTINUOUS,
    DISCRETE,
    SPECS,
    LossContract,
    assert_actions_unread,
    losses_of,
    without_chance,
)


def networks(spec, mixer):
    qvalue = qvalue_ensemble(spec, 2, hidden_sizes=(8,))
    return make_actor(spec, hidden_sizes=(8,)), qvalue, make_mixer(spec, mixer, (8,))


class TestMixed(LossContract):
    samples = True
    mixer = "linear"
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}, "loss_actor": {"actor_network"}}

    @classmethod
    def make(cls, spec, **kwargs):
        return AWACLoss(*networks(spec, cls.mixer), **kwargs)


class TestIndependent(TestMixed):
    mixer = "none"
    team_terms = set()
    trained = {"loss_qvalue": {"qvalue_network"}, "loss_actor": {"actor_network"}}


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return replace(spec, n_agents=1)


def expectation(qvalue, actor, group):
    """Smaller twin's value under the policy: exact, or at the noise 0.3 that the test lets it draw."""
    if group.get("action_mask", None) is not None:
        smaller = by_hand.qvalues(qvalue, group).amin(-1)
        return (by_hand.probabilities(actor, group) * smaller).sum(-1).detach()
    loc, scale = by_hand.gaussian(actor, group["observation"])
    drawn = (loc + 0.3 * scale).tanh()
    return by_hand.twins(qvalue, group["observation"], drawn)[..., 0, :].amin(-1).detach()


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
def test_losses_and_gradients_equal_a_transcription(spec, kind):
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    loss = AWACLoss(*nets, gamma=0.75, temperature=0.5, max_weight=1.1, num_action_samples=2).double()
    ForeachSoftUpdate(loss, tau=0.5)
    _, slow_q, slow_mixer = deepcopy(nets)
    actor, qvalue, mixer = nets
    present = [net for net in nets if net is not None]
    by_hand.nudge(*present)
    data = by_hand.double(spec.fake_batch(16))
    with without_chance():
        found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()

    now, following = data["agents"], data["next", "agents"].clone()
    following["action"] = now["action"]  # tells the kind of actions; its value is not read
    mixed, next_mixed = (
        by_hand.mixing(mixer, data["state"]),
        by_hand.mixing(slow_mixer, data["next", "state"]),
    )
    reward, alive = by_hand.ends(data, mixed)
    y = reward + 0.75 * alive * by_hand.team(expectation(slow_q, actor, following), next_mixed)
    q = by_hand.chosen(by_hand.qvalues(qvalue, now), now["action"])
    loss_q = sum(((by_hand.team(q[..., e], mixed) - y.detach()) ** 2).mean() for e in range(2))
    gain = torch.minimum(q[..., 0], q[..., 1]).detach() - expectation(qvalue, actor, now)
    weight = (by_hand.share(gain, mixed) / 0.5).exp()
    assert (weight > 1.1).any() and (weight < 1.1).any()
    loss_pi = -(weight.clamp(max=1.1) * by_hand.log_density(actor, data)).mean()
    torch.testing.assert_close(found["loss_qvalue"], loss_q, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found["loss_actor"], loss_pi, rtol=1e-10, atol=1e-10)
    by_hand.assert_gradients(loss_q + loss_pi, (p for net in present for p in net.parameters()))


@pytest.mark.parametrize(("temperature", "good"), [(10.0, 0.109), (0.5, 0.451), (0.25, 0.858)])
def test_bandit_has_its_exact_policy(temperature, good):
    """mu exp(Q / temperature) / Z: what the policy itself is worth is the same for all its actions."""
    torch.manual_seed(0)
    actor, data = categorical_actor(spec(), hidden_sizes=(8,)), ninety_ten()
    train(AWACLoss(actor, table("local_qvalue", [0.0], [1.0]), temperature=temperature), data, 300)
    assert actor.get_dist(data[:1]).probs[0, 0, 1].item() == pytest.approx(good, abs=0.02)


def test_illegal_actions_are_worth_nothing():
    torch.manual_seed(0)
    loss, data = make_algorithm("awac", DISCRETE, hidden_sizes=[8]).loss, DISCRETE.fake_batch(8)
    data["agents", "action"].clamp_(max=2)
    for where in (data, data["next"]):
        where["agents", "action_mask"][:] = torch.tensor([True, True, True, False])
    assert_actions_unread(loss, data, 3)


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE])
def test_the_value_of_the_policy_has_no_gradient(spec):
    loss = make_algorithm("awac", spec, hidden_sizes=[8]).loss
    batch = loss.view(spec.fake_batch(8))
    assert not policy_value(batch, batch).requires_grad


def test_more_samples_make_the_advantage_steadier():
    """The standard deviation of the mean of 64 samples is an eighth of that of one."""
    spread, data = {}, CONTINUOUS.fake_batch(64)
    for samples in (1, 64):
        torch.manual_seed(0)
        loss = make_algorithm(
            "awac", CONTINUOUS, hidden_sizes=[8], num_action_samples=samples, mixer="none"
        ).loss
        values = [policy_value(batch, batch, (samples,)) for batch in [loss.view(data)] * 64]
        spread[samples] = torch.stack(values).std(0).mean().item()
    assert spread[64] / spread[1] == pytest.approx(1 / 8, rel=0.15)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"num_action_samples": 0}, "num_action_samples.* 0"),
        ({"temperature": -1.0}, r"AWACLoss: temperature.* -1\.0"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("awac", CONTINUOUS, hidden_sizes=[8], **kwargs)
