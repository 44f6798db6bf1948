"""`AWRLoss`: the contract, the equations in float64, and the weights of a bandit."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import categorical_actor, make_actor
from omiga_torchrl.modules.builders import make_mixer, value_network
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.awr import AWRLoss
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import ninety_ten, spec, table, train
from tests.objectives.contract import CONTINUOUS, SPECS, LossContract, losses_of, sequences


def networks(spec, mixer):
    actor, value = make_actor(spec, hidden_sizes=(8,)), value_network(spec, hidden_sizes=(8,))
    return actor, value, make_mixer(spec, mixer, (8,))


class TestMixed(LossContract):
    mixer = "linear"
    team_terms = {"loss_value"}
    trained = {"loss_value": {"value_network", "mixer_network"}, "loss_actor": {"actor_network"}}

    @classmethod
    def make(cls, spec, **kwargs):
        return AWRLoss(*networks(spec, cls.mixer), **kwargs)

    def draw(self, spec, *batch):
        return sequences(spec, *batch)


class TestIndependent(TestMixed):
    mixer = "none"
    team_terms = set()
    trained = {"loss_value": {"value_network"}, "loss_actor": {"actor_network"}}


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return replace(spec, n_agents=1)


def returns(reward, alive, following, done, *, gamma, trace):
    """``y_t = r_t + gamma (1 - terminated) ((1 - lambda) V_{t+1} + lambda y_{t+1})``, one step a time."""
    found, steps = [], reward.shape[1]
    for t in reversed(range(steps)):
        goes_on = trace * (1 - done[:, t]) if t < steps - 1 else 0.0 * done[:, t]
        later = found[-1] if found else following[:, t]
        mixture = (1 - goes_on) * following[:, t] + goes_on * later
        found.append(reward[:, t] + gamma * alive[:, t] * mixture)
    return torch.stack(found[::-1], 1)


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
@pytest.mark.parametrize("normalize_advantage", [True, False])
def test_losses_and_gradients_equal_a_transcription(spec, kind, normalize_advantage):
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    options = {"gamma": 0.75, "td_lambda": 0.5, "temperature": 0.5, "max_weight": 2.0}
    loss = AWRLoss(*nets, **options, normalize_advantage=normalize_advantage).double()
    ForeachSoftUpdate(loss, tau=0.5)
    _, slow_v, slow_mixer = deepcopy(nets)
    actor, value, mixer = nets
    present = [net for net in nets if net is not None]
    by_hand.nudge(*present)
    data = by_hand.double(sequences(spec, 6))
    found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()

    mixed, next_mixed = (
        by_hand.mixing(mixer, data["state"]),
        by_hand.mixing(slow_mixer, data["next", "state"]),
    )
    reward, alive = by_hand.ends(data, mixed)
    next_v = by_hand.mlp(slow_v.module, data["next", "agents", "observation"])[..., 0].detach()
    following = by_hand.team(next_v, next_mixed)
    done = data["next", "done"].double()
    y = returns(reward, alive, following, done if mixed is None else done[..., 0], gamma=0.75, trace=0.5)
    v = by_hand.team(by_hand.mlp(value.module, data["agents", "observation"])[..., 0], mixed)
    loss_v = ((v - y.detach()) ** 2).mean()
    advantage = (y - v).detach()
    if normalize_advantage:
        advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-5)
    weight = (advantage / 0.5).exp()
    assert (weight > 2).any() and (weight < 2).any()
    weight = weight.clamp(max=2) if mixed is None else weight.clamp(max=2).unsqueeze(-1)
    loss_pi = -(weight * by_hand.log_density(actor, data)).mean()
    torch.testing.assert_close(found["loss_value"], loss_v, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found["loss_actor"], loss_pi, rtol=1e-10, atol=1e-10)
    by_hand.assert_gradients(loss_v + loss_pi, (p for net in present for p in net.parameters()))


# The reward's mean is 0.1 and its standard deviation 0.3: standardised advantages are 3 and -1/3.
@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"temperature": 1.0}, (math.exp(-1 / 3), 20.0)),  # exp(3) = 20.09 is clipped
        ({"temperature": 3.0}, (math.exp(-1 / 9), math.e)),
        ({"normalize_advantage": False, "temperature": 0.5}, (math.exp(-0.2), math.exp(1.8))),
        ({"normalize_advantage": False, "temperature": 0.05}, (math.exp(-2), 20.0)),  # as published
    ],
)
def test_bandit_has_its_exact_weights(options, weights):
    torch.manual_seed(0)
    actor, value = categorical_actor(spec(), hidden_sizes=(8,)), table("local_value", 0.0)
    data = ninety_ten().unsqueeze(1)  # sequences of one step
    train(AWRLoss(actor, value, **options), data, 300)
    assert value.module.values.item() == pytest.approx(0.1, abs=0.005)
    good = 0.1 * weights[1] / (0.9 * weights[0] + 0.1 * weights[1])
    assert actor.get_dist(data[0, :1]).probs[0, 0, 1].item() == pytest.approx(good, abs=0.02)


def test_two_steps_by_hand():
    """V is 1 everywhere; lambda 1/2, gamma 1/2, rewards 4 and 2, then a time-out: 2.5 and 4.875."""
    group = {"observation": torch.ones(1, 2, 1, 1)}
    data = TensorDict(
        {
            "agents": {**group, "action": torch.zeros(1, 2, 1, dtype=torch.long)},
            "state": torch.ones(1, 2, 1),
            "next": {
                "agents": group,
                "state": torch.ones(1, 2, 1),
                "reward": torch.tensor([4.0, 2.0]).reshape(1, 2, 1),
                "done": torch.tensor([False, True]).reshape(1, 2, 1),
                "terminated": torch.zeros(1, 2, 1, dtype=torch.bool),
            },
        },
        [1, 2],
    )
    actor, value = categorical_actor(spec(), hidden_sizes=(8,)), table("local_value", 1.0)
    loss = AWRLoss(actor, value, gamma=0.5, td_lambda=0.5, reduction="none")
    ForeachSoftUpdate(loss, tau=0.5)
    # y_2 = 2 + 1 / 2, y_1 = 4 + 1/2 (1 + 1/2 (2.5 - 1)); errors 1.5 and 3.875
    assert loss.value_loss(data).flatten().tolist() == pytest.approx([3.875**2, 1.5**2])


def test_single_transitions_are_refused():
    loss = make_algorithm("awr", CONTINUOUS, hidden_sizes=[8]).loss
    with pytest.raises(ValueError, match=r"AWRLoss: .*expected sequences \[\*batch, time.*slice_len=T"):
        loss(CONTINUOUS.fake_batch(8))


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"td_lambda": 1.5}, r"td_lambda.* 1\.5"),
        ({"max_weight": 0.0}, r"AWRLoss: max_weight.* 0\.0"),
        ({"num_qvalue_nets": 3}, "num_qvalue_nets must be left out, got 3"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("awr", CONTINUOUS, hidden_sizes=[8], **kwargs)
