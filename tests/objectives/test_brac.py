"""`BRACLoss`: the contract, the equations in float64, and what the price of divergence does."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.functional import censored_gaussian_kl
from omiga_torchrl.modules import behavior_model, categorical_actor, is_censored, make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_ensemble
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.specs import TeamSpec
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

CRITIC, ACTOR = {"loss_qvalue": {"qvalue_network"}}, {"loss_actor": {"actor_network"}}
BEHAVIOR = {"loss_behavior": {"behavior_network"}}


def networks(spec, mixer):
    policies = make_actor(spec, hidden_sizes=(8,)), make_actor(spec, hidden_sizes=(8,), name="behaviour")
    return (
        policies[0],
        qvalue_ensemble(spec, 2, hidden_sizes=(8,)),
        policies[1],
        make_mixer(spec, mixer, (8,)),
    )


class TestMixed(LossContract):
    mixer, options, samples = "linear", {"entropy_coeff": 0.1}, True
    trained = {"loss_qvalue": {"qvalue_network", "mixer_network"}, **ACTOR, **BEHAVIOR}

    @classmethod
    def make(cls, spec, **kwargs):
        return BRACLoss(*networks(spec, cls.mixer), **cls.options, **kwargs)


class TestSampled(TestMixed):
    options = {"num_action_samples": 2}


class TestLearnedPrice(TestMixed):
    options = {"target_divergence": 0.3, "alpha": 2.0}
    trained = {**TestMixed.trained, "loss_alpha": {"log_alpha"}}


class TestIndependent(TestMixed):
    mixer, team_terms, trained = "none", set(), {**CRITIC, **ACTOR, **BEHAVIOR}


class TestOneAgent(TestIndependent):
    def fit(self, spec):
        return replace(spec, n_agents=1)


class TestLatentBehaviour(TestOneAgent):
    def fit(self, spec):
        return replace(CONTINUOUS, n_agents=1)

    @classmethod
    def make(cls, spec, **kwargs):
        actor, qvalue, _, _ = networks(spec, "none")
        return BRACLoss(actor, qvalue, behavior_model(spec, hidden_sizes=(8,)), **kwargs)


def density(y, loc, scale):
    """Log density of tanh(y), ``[*B, N]``."""
    normal = -0.5 * ((y - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
    return (normal - (1 - y.tanh() ** 2).log()).sum(-1)


def acting_by_hand(spec, actor, qvalue, behaviour, group, samples):
    """Value of the policy's actions ``[*B, N, 2]``, its entropy and its divergence, noise being 0.3."""
    o = group["observation"]
    if spec.discrete:
        chances, other = by_hand.probabilities(actor, group), by_hand.probabilities(behaviour, group).detach()
        legal = group["action_mask"]
        every = by_hand.twins(qvalue, o).amin(-1).detach()
        log = torch.where(legal, chances, 1.0).log()
        divergence = (chances * (log - torch.where(legal, other, 1.0).log())).sum(-1)
        return (chances * every).sum(-1), -(chances * log).sum(-1), divergence
    loc, scale = by_hand.gaussian(actor, o)
    other = [x.detach() for x in by_hand.gaussian(behaviour, o)]
    y = loc + 0.3 * scale
    frozen = deepcopy(qvalue).requires_grad_(False)
    value = by_hand.twins(frozen, o, y.tanh())[..., 0, :].amin(-1)
    if samples is None:
        divergence = kl_divergence(Normal(loc, scale), Normal(*other)).sum(-1)
    else:  # all samples are the same
        divergence = density(y, loc, scale) - density(y, *other)
    return value, -density(y, loc, scale), divergence


@SPECS
@pytest.mark.parametrize("kind", ["linear", "none"])
@pytest.mark.parametrize("samples", [None, 3])
def test_losses_and_gradients_equal_a_transcription(spec, kind, samples):
    torch.manual_seed(0)
    nets = [net if net is None else net.double() for net in networks(spec, kind)]
    loss = BRACLoss(*nets, gamma=0.75, alpha=0.5, entropy_coeff=0.25, num_action_samples=samples).double()
    ForeachSoftUpdate(loss, tau=0.5)
    slow_q, slow_mixer = deepcopy(nets[1]), deepcopy(nets[3])
    actor, qvalue, behaviour, mixer = nets
    present = [net for net in nets if net is not None]
    by_hand.nudge(*present)
    data = by_hand.double(spec.fake_batch(16))
    with without_chance():
        found = losses_of(loss(data))
    torch.stack(list(found.values())).sum().backward()

    now, following = data["agents"], data["next", "agents"]
    mixed, next_mixed = (
        by_hand.mixing(mixer, data["state"]),
        by_hand.mixing(slow_mixer, data["next", "state"]),
    )
    reward, alive = by_hand.ends(data, mixed)
    with torch.no_grad():
        value, entropy, _ = acting_by_hand(spec, actor, slow_q, behaviour, following, samples)
        bonus = 0.25 * (entropy if mixed is None else entropy.sum(-1))
        y = reward + 0.75 * alive * (by_hand.team(value, next_mixed) + bonus)
    q = by_hand.chosen(by_hand.qvalues(qvalue, now), now["action"])
    loss_q = sum(((by_hand.team(q[..., e], mixed) - y) ** 2).mean() for e in range(2))
    value, entropy, divergence = acting_by_hand(spec, actor, qvalue, behaviour, now, samples)
    loss_pi = (0.5 * divergence - by_hand.share(value, mixed) - 0.25 * entropy).mean()
    loss_b = -by_hand.log_density(behaviour, data).mean()
    for name, expected in (("qvalue", loss_q), ("actor", loss_pi), ("behavior", loss_b)):
        torch.testing.assert_close(found[f"loss_{name}"], expected, rtol=1e-10, atol=1e-10)
    parameters = (p for net in present for p in net.parameters())
    by_hand.assert_gradients(loss_q + loss_pi + loss_b, parameters)


def test_samples_estimate_the_exact_divergence():
    torch.manual_seed(0)
    nets, data = networks(CONTINUOUS, "none"), CONTINUOUS.fake_batch(4)
    exact, sampled = BRACLoss(*nets), BRACLoss(*nets, num_action_samples=20_000)
    for loss in (exact, sampled):
        ForeachSoftUpdate(loss, tau=0.5)
    assert sampled(data)["divergence"].item() == pytest.approx(exact(data)["divergence"].item(), abs=0.01)


CLIPPED = replace(CONTINUOUS, clipped=True)


def test_censored_policies_diverge_exactly():
    """The divergence is that of the distributions, the entropy's price its mean; both reach the policy."""
    torch.manual_seed(0)
    loss = make_algorithm("brac_p", CLIPPED, hidden_sizes=[8], mixer="none").loss
    data = CLIPPED.fake_batch(16)
    data["agents", "action"] = (2 * data["agents", "action"]).clamp(-1, 1)
    with torch.no_grad():
        policy, behavior = (net.get_dist(data) for net in (loss.actor_network, loss.behavior_network))
        expected = censored_gaussian_kl(policy.loc, policy.scale, behavior.loc, behavior.scale)
        entropy = policy.entropy()
    terms = []
    for coeff in (0.0, 0.25):
        loss.entropy_coeff.fill_(coeff)
        torch.manual_seed(1)
        out = loss(data)
        terms.append(out["loss_actor"])
        assert out["divergence"].item() == pytest.approx(expected.mean().item(), rel=1e-5)
    assert (terms[0] - terms[1]).item() == pytest.approx(0.25 * entropy.mean().item(), rel=1e-3)


@pytest.mark.parametrize("distribution", ["tanh", "censored"])
def test_a_high_price_clones_clipped_actions(distribution):
    """Actions clip(1.5 o + noise): 58 % on a bound, which a tanh-Gaussian takes for two-sided ones."""
    torch.manual_seed(0)
    spec = TeamSpec(1, 1, 1, 1, clipped=True)
    parts = make_algorithm(
        "brac_p", spec, hidden_sizes=[32], mixer="none", alpha=100.0, distribution=distribution
    )
    o = torch.rand(512, 1, 1) * 4 - 2
    data = spec.fake_batch(512)
    data["agents", "observation"] = o
    data["agents", "action"] = (o + 0.5 * torch.randn_like(o)).clamp(-1, 1)
    train(parts.loss, data, 60)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        found = parts.policy(data.select(("agents", "observation")).clone())["agents", "action"]
    error = (found - o.clamp(-1, 1)).square().mean().sqrt().item()
    assert (error < 0.1) == (distribution == "censored")


def test_atoms_must_be_on_both_sides():
    censored, tanh = (
        make_actor(CONTINUOUS, hidden_sizes=(8,), distribution=name) for name in ("censored", "tanh")
    )
    qvalue = networks(CONTINUOUS, "none")[1]
    for pair in ((censored, tanh), (tanh, censored)):
        with pytest.raises(ValueError, match=r"both be censored Gaussians or neither.*distribution='tanh'"):
            BRACLoss(pair[0], qvalue, pair[1])
    with pytest.raises(ValueError, match="num_action_samples must be None with censored Gaussians, got 4"):
        make_algorithm("brac_p", CLIPPED, hidden_sizes=[8], num_action_samples=4)
    with pytest.raises(ValueError, match="distribution must be 'tanh' or 'auto' with behavior_model='vae'"):
        make_algorithm("brac_p", CLIPPED, behavior_model="vae", distribution="censored")
    assert not is_censored(make_algorithm("brac_p", CLIPPED, behavior_model="vae").policy)


def on_a_bandit(**kwargs):
    """Q knows the rewards, 0 and 1; 10 % of the data play the good action."""
    torch.manual_seed(0)
    actor, behaviour = (
        categorical_actor(spec(), hidden_sizes=(8,)),
        categorical_actor(spec(), hidden_sizes=(8,)),
    )
    qvalue, data = table("local_qvalue", [0.0], [1.0]), ninety_ten()
    loss = BRACLoss(actor, qvalue, behaviour, **kwargs)
    return loss, actor, data


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 1000.0])
def test_policy_goes_from_the_best_action_to_cloning_as_alpha_grows(alpha):
    """The optimum is b exp(Q / alpha) / Z: greedy for alpha = 0, the behaviour policy for a large alpha."""
    loss, actor, data = on_a_bandit(alpha=alpha)
    train(loss, data, 300)
    good = 1.0 if alpha == 0 else 0.1 * math.exp(1 / alpha) / (0.9 + 0.1 * math.exp(1 / alpha))
    assert actor.get_dist(data[:1]).probs[0, 0, 1].item() == pytest.approx(good, abs=0.02)


@pytest.mark.parametrize(("target", "start", "price"), [(0.05, 1.0, 1.173), (0.5, 0.6, 0.459)])
def test_a_learned_price_keeps_the_divergence(target, start, price):
    """It ends at the alpha for which b exp(Q / alpha) / Z diverges from b by the target."""
    loss, _, data = on_a_bandit(alpha=start, target_divergence=target)
    updater = ForeachSoftUpdate(loss, tau=0.1)
    networks = [p for name, p in loss.named_parameters() if name != "log_alpha"]
    groups = [{"params": networks, "lr": 0.05}, {"params": [loss.log_alpha], "lr": 0.01}]
    optimizer = torch.optim.Adam(groups)
    for _ in range(200):
        torch.stack(list(losses_of(loss(data)).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        updater.step()
    out = loss(data)
    assert out["divergence"].item() == pytest.approx(target, abs=0.02)
    assert out["alpha"].item() == pytest.approx(price, rel=0.05)


def test_a_learned_price_has_a_cap_and_comes_back():
    loss, _, data = on_a_bandit(alpha=400.0, target_divergence=1.0, max_alpha=500.0)
    ForeachSoftUpdate(loss, tau=0.5)
    with torch.no_grad():
        loss.log_alpha.add_(5.0)
    before = loss.log_alpha.clone()
    out = loss(data)
    assert out["alpha"].item() == pytest.approx(500.0) and loss.log_alpha.equal(before)
    divergence = out["divergence"].item()
    for target, gradient in ((divergence / 2, 0.0), (2 * divergence, 500.0 * divergence)):
        loss.target_divergence = target
        (found,) = torch.autograd.grad(loss.alpha_loss(data), loss.log_alpha)
        assert found.item() == pytest.approx(gradient, rel=1e-4)  # descent leads back, or nowhere


def test_a_price_at_its_cap_is_the_policy_s():
    """The divergence counts 500 times, however far log_alpha is beyond."""
    loss, _, data = on_a_bandit(alpha=500.0, target_divergence=1.0, max_alpha=500.0)
    ForeachSoftUpdate(loss, tau=0.5)
    expected = loss.actor_loss(data)
    with torch.no_grad():
        loss.log_alpha.add_(5.0)
    torch.testing.assert_close(loss.actor_loss(data), expected)


def test_warmup_is_behavior_cloning_for_that_many_updates():
    loss, _, data = on_a_bandit(warmup_steps=2)
    ForeachSoftUpdate(loss, tau=0.5)
    cloning = -loss.actor_network.get_dist(data).log_prob(data["agents", "action"]).mean()
    for count in (0, 1):
        for _ in range(2):  # evaluations do not count
            out = loss(data)
            torch.testing.assert_close(out["loss_actor"], cloning)
        assert loss.state_dict()["updates"] == count and out["next_updates"] == count + 1
        loss.advance(out)
    assert not loss(data)["loss_actor"].isclose(cloning) and loss.state_dict()["updates"] == 2


def test_alpha_loss_needs_a_target():
    loss, _, data = on_a_bandit()
    with pytest.raises(ValueError, match="target_divergence must be a number > 0 to learn alpha, got None"):
        loss.alpha_loss(data)


def test_illegal_actions_are_never_read():
    torch.manual_seed(0)
    loss = make_algorithm("brac_p", DISCRETE, hidden_sizes=[8], entropy_coeff=0.1).loss
    data = DISCRETE.fake_batch(8)
    data["agents", "action"][:] = 0
    for where in (data, data["next"]):
        where["agents", "action_mask"][..., 0] = True
        where["agents", "action_mask"][..., 1:] = torch.tensor([True, False, False])
    assert_actions_unread(loss, data, 2)


def test_latent_behaviour_models_learn_with_a_mixer_and_without_memories():
    parts = make_algorithm("brac_p", CONTINUOUS, hidden_sizes=[8], behavior_model="vae")
    out = losses_of(parts.loss(CONTINUOUS.fake_batch(8)))
    torch.stack(list(out.values())).sum().backward()
    assert all(p.grad.isfinite().all() for group in parts.parameter_groups.values() for p in group)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"alpha": -1.0}, r"alpha.* -1\.0"),
        ({"num_action_samples": 0}, "num_action_samples.* 0"),
        ({"warmup_steps": -1}, "warmup_steps.* -1"),
        ({"alpha": 0.0, "target_divergence": 0.5}, "alpha a value to start from"),
        ({"target_divergence": 0.0}, r"target_divergence.* 0\.0"),
        ({"behavior_model": "gan"}, "behavior_model.*gan"),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        make_algorithm("brac_p", CONTINUOUS, hidden_sizes=[8], **kwargs)
