"""`BCQLoss`: the equations in float64, and actions that the data do not support."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.modules import ConditionalVAE, categorical_actor
from omiga_torchrl.modules.builders import perturbation_network
from omiga_torchrl.modules.candidate_policy import CandidatePolicy, supported_action_policy
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives import BCQLoss, ForeachSoftUpdate
from omiga_torchrl.objectives.view import TeamView
from omiga_torchrl.specs import TeamSpec
from tests.objectives import transcription as by_hand
from tests.objectives.bandit import bandit, spec, table, train
from tests.objectives.bcq_cases import build, networks
from tests.objectives.contract import CONTINUOUS, DISCRETE, losses_of, without_chance


def soft_minimum(values):
    return 0.75 * values.amin(-1) + 0.25 * values.amax(-1)


def ready(spec, kind, **kwargs):
    """Loss and networks in double precision, and copies of the latter as the targets have them."""
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    loss = build(nets, gamma=0.75, **kwargs).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow, present = deepcopy(nets), [net for net in nets if net is not None]
    by_hand.nudge(*present)
    return loss, nets, slow, present


def critic_loss(data, nets, slow, following):
    """The squared errors of both critics, given the values of the next actions."""
    mixed = by_hand.mixing(nets[2], data["state"])
    reward, alive = by_hand.ends(data, mixed)
    y = reward + 0.75 * alive * by_hand.team(following, by_hand.mixing(slow[2], data["next", "state"]))
    q = by_hand.chosen(by_hand.qvalues(nets[1], data["agents"]), data["agents", "action"])
    return sum(((by_hand.team(q[..., e], mixed) - y.detach()) ** 2).mean() for e in range(2))


def compare(loss, data, expected, present):
    with without_chance():
        found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)
    by_hand.assert_gradients(sum(expected.values()), (p for net in present for p in net.parameters()))


@pytest.mark.parametrize("kind", ["linear", "none"])
@pytest.mark.parametrize("vae_loss", ["likelihood", "squared_error"])
def test_continuous_losses_and_gradients_equal_a_transcription(kind, vae_loss):
    loss, nets, slow, present = ready(CONTINUOUS, kind, num_action_samples=2, vae_loss=vae_loss)
    data = by_hand.double(CONTINUOUS.fake_batch(16))
    actor, qvalue, _, vae = nets
    o, a = data["agents", "observation"], data["agents", "action"]
    o2 = data["next", "agents", "observation"]

    def decode(observation, latent):
        return by_hand.mlp(vae.decoder, observation, latent).tanh()

    def perturbed(network, observation, action):
        return (action + 0.05 * by_hand.mlp(network.module.network, observation, action).tanh()).clamp(-1, 1)

    latent = torch.full(
        (16, 3, 4), 0.3, dtype=torch.float64
    )  # what the test lets it draw; two of two actions
    a2 = perturbed(slow[0], o2, decode(o2, latent))
    loss_q = critic_loss(data, nets, slow, soft_minimum(by_hand.twins(slow[1], o2, a2)[..., 0, :]).detach())
    drawn = decode(o, latent).detach()
    value = by_hand.twins(deepcopy(qvalue).requires_grad_(False), o, perturbed(actor, o, drawn))
    loss_pi = -value[..., 0, 0].mean()
    mean, log_std = by_hand.mlp(vae.encoder, o, a).chunk(2, -1)
    z = mean + 0.3 * log_std.exp()
    error, kl = a - decode(o, z), -0.5 * (1 + 2 * log_std - mean**2 - (2 * log_std).exp())
    if vae_loss == "squared_error":
        loss_mu = (error**2).mean() + 0.5 * kl.mean()
    else:  # one sample of log p(a | z) + log p(z) - log q(z)
        fit = -0.5 * (error / vae.log_std.exp()) ** 2 - vae.log_std - 0.5 * math.log(2 * math.pi)
        loss_mu = -(fit.sum(-1) - (0.5 * z**2).sum(-1) + (0.5 * 0.09 + log_std).sum(-1)).mean()
    compare(loss, data, {"loss_qvalue": loss_q, "loss_actor": loss_pi, "loss_behavior": loss_mu}, present)


@pytest.mark.parametrize("kind", ["linear", "none"])
def test_discrete_losses_and_gradients_equal_a_transcription(kind):
    loss, nets, slow, present = ready(DISCRETE, kind, support_threshold=0.8)
    data = by_hand.double(DISCRETE.fake_batch(16))
    following = data["next", "agents"].clone()
    following["action"] = data["agents", "action"]  # tells the kind of actions; its value is not read
    chance = by_hand.probabilities(nets[3], following)
    allowed = (chance >= 0.8 * chance.amax(-1, keepdim=True)) & following["action_mask"]
    assert (allowed.sum(-1) > 1).any() and (allowed != following["action_mask"]).any()
    online = by_hand.qvalues(nets[1], following).amin(-1)
    best = torch.where(allowed, online, -torch.inf).argmax(-1)
    value = soft_minimum(by_hand.chosen(by_hand.qvalues(slow[1], following), best)).detach()
    expected = {
        "loss_qvalue": critic_loss(data, nets, slow, value),
        "loss_behavior": -by_hand.log_density(nets[3], data).mean(),
    }
    compare(loss, data, expected, present)


def four_actions(*values):
    """A table of one critic over four actions and an untrained model of who plays them."""
    qvalue = table("local_qvalue", *([value] for value in values))
    return qvalue, categorical_actor(spec(4), hidden_sizes=(8,), name="behaviour")


def played(qvalue, behavior, data, **kwargs):
    policy = supported_action_policy(qvalue, behavior, **kwargs)
    return policy(data[:1].exclude(("agents", "action")))["agents", "action"].item()


def test_values_and_policy_stay_with_the_actions_of_the_data():
    """Actions 0 and 1 forever, rewards 0 and 1: Q is 1 and 2. Action 2 looks like 100, unplayed."""
    torch.manual_seed(0)
    qvalue, behavior = four_actions(0.0, 0.0, 100.0, -100.0)
    data = bandit([0, 0, 0, 1], [0.0, 0.0, 0.0, 1.0], terminated=False)
    train(BCQLoss(None, qvalue, behavior_network=behavior, gamma=0.5), data, 500, lr=0.1, tau=0.3)
    found = qvalue.module.values.flatten().tolist()
    assert found == pytest.approx([1.0, 2.0, 100.0, -100.0], abs=0.05)
    assert played(qvalue, behavior, data) == 1
    greedy = greedy_policy(qvalue)(data[:1].exclude(("agents", "action")))
    assert greedy["agents", "action"].item() == 2  # what the constraint prevents
    # a third of the probability of the most likely action is too little at a threshold of a half
    assert played(qvalue, behavior, data, threshold=0.5) == 0


@pytest.mark.parametrize(("threshold", "reads"), [(0.3, False), (0.0, True)])
def test_target_reads_supported_actions_only(threshold, reads):
    torch.manual_seed(0)
    data = bandit([0, 1], [0.0, 1.0], terminated=False)
    qvalue, behavior = four_actions(0.0, 0.0, 0.0, 0.0)
    with torch.no_grad():
        behavior[0].module.network.body[-1].bias += torch.tensor([5.0, 5.0, 0.0, 0.0])
    found = []
    for value in (0.0, 100.0):
        with torch.no_grad():
            qvalue.module.values[2:] = value
        loss = BCQLoss(None, qvalue, behavior_network=behavior, support_threshold=threshold)
        ForeachSoftUpdate(loss, tau=0.5)
        found.append(loss.qvalue_loss(data).item())
    assert (found[0] != found[1]) == reads


class Higher(nn.Module):
    """Two critics that want the largest action: they are right about +-0.5, and nothing is known of 1."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(2))

    def forward(self, observation, action):
        return (action + 0.5).unsqueeze(-1) * self.slope


def next_values(loss, data):
    """The values of the next step that the loss's target is made of."""
    values, td_target = [], TeamView.td_target
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            TeamView, "td_target", lambda view, value: values.append(value) or td_target(view, value)
        )
        loss.qvalue_loss(data)
    return values[0]


def test_continuous_actions_stay_with_the_data():
    """Half of the data act +0.5 +- 0.02 for a reward of 1, half -0.5 for nothing."""
    torch.manual_seed(0)
    one = TeamSpec(1, 1, 1, 1)
    qvalue = TensorDictModule(Higher(), [("agents", "observation"), ("agents", "action")], ["local"])
    actor, vae = (
        perturbation_network(one, 0.05, hidden_sizes=(16,)),
        ConditionalVAE(one, hidden_sizes=(32,), max_latent=0.5),
    )
    loss = BCQLoss(actor, qvalue, behavior_network=vae)
    loss.set_keys(local_qvalue="local")
    updater = ForeachSoftUpdate(loss, tau=0.05)
    trained = [*actor.parameters(), *vae.parameters()]
    optimizer = torch.optim.Adam(trained, 1e-2)
    for _ in range(400):
        data = one.fake_batch(128)
        data["agents", "observation"].fill_(1.0)
        data["next", "agents", "observation"].fill_(1.0)
        centre = torch.where(torch.rand(128, 1, 1) < 0.5, 0.5, -0.5)
        data["agents", "action"] = centre + 0.02 * torch.randn(128, 1, 1)
        (loss.actor_loss(data) + loss.behavior_loss(data)).backward()
        optimizer.step()
        optimizer.zero_grad()
        updater.step()
    next_value = next_values(loss, data)
    # The best samples are the better mode, at most 0.05 beyond it; the critics promise 1.5 for action 1.
    assert 0.8 < next_value.median() < 1.1 and next_value.max() < 1.2
    policy = CandidatePolicy(vae, qvalue, actor, local_qvalue="local")
    action = policy(data.exclude(("agents", "action")))["agents", "action"]
    assert action.min() > 0.45 and action.max() < 0.65
    assert loss(data)["perturbation"] == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"support_threshold": 1.5}, r"support_threshold is 1.5; expected a number in \[0, 1\]"),
        ({"lam": -0.1}, "lam is -0.1"),
        ({"num_action_samples": 0}, "num_action_samples is 0; expected at least 1"),
        ({"vae_loss": "mse"}, "unknown vae_loss 'mse'.*squared_error"),
        ({"num_candidates": 0}, "candidates is 0; expected at least 1"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("bcq", CONTINUOUS, hidden_sizes=[8], **kwargs)


def test_published_options_of_discrete_actions():
    """OG-MARL's: a threshold of 0.4 in the target, and acting with any legal action."""
    options = {"support_threshold": 0.4, "act_within_support": False}
    parts = make_algorithm("bcq", DISCRETE, hidden_sizes=[8], **options)
    assert parts.loss.support_threshold == 0.4
    out = parts.policy(DISCRETE.fake_batch(64).exclude(("agents", "action")))["agents"]
    legal = torch.where(out["action_mask"], out["local_qvalue"][..., 0], -torch.inf)
    assert "supported_actions" not in out and out["action"].equal(legal.argmax(-1))


def test_critics_by_default_are_two_for_continuous_actions_and_one_for_discrete_ones():
    for kind, critics in ((CONTINUOUS, 2), (DISCRETE, 1)):
        parts = make_algorithm("bcq", kind, hidden_sizes=[8], behavior_hidden_sizes=[8])
        parts.policy(kind.fake_batch(4).exclude(("agents", "action")))
        with parts.loss.qvalue_network_params.to_module(parts.loss.qvalue_network):
            out = parts.loss.qvalue_network(kind.fake_batch(4))
        assert out["agents", "local_qvalue"].shape[-1] == critics
