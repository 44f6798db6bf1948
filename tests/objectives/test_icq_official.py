"""``variant="official"`` of ICQ against an independent float64 transcription in plain torch.

Written from the equations of the released codes, entry by entry (a bar is a target network; B
sequences of T steps, n transitions with a successor).

One agent, softmax code::

    rho = clamp((n / 2) softmax_n(Qbar(o', a') / beta), 0, 1),  y = r + gamma rho Qbar(o', a')
    L_Q = mean (Q(o, a) - y)^2
    L_pi = - mean n softmax_n(A / beta) log pi(a | o),  A = r + gamma Q(o', a') - Q(o, a)

One agent, behavior code: ``rho = clamp(exp(Qbar(o', a') / beta) / Z(o'), 0, 1)`` with Z the mean of
``exp(Qbar / beta)`` over 100 samples and 10 copies of the data action; the policy's weight is the same
ratio at (o, a), not clamped.

Team code: ``Q_tot = sum_i k_i Q_i``, ``sum_i k_i = 1``; for each t a softmax over the B sequences::

    T_t = B softmax_B(Qbar_tot,t / 1000) Qbar_tot,t
    G_t = lambda gamma G_{t+1} + r_t + (1 - lambda) gamma T_{t+1}
    L_t = mean_B (Q_tot,t - G_t)^2
    A_i = Q_i(a_i) - sum_a pi_i(a) Q_i(a)
    L_pi = - mean_{B,T,N} k_i B softmax_B(A_i / 0.1) log pi_i(a_i | o_i)
"""

from __future__ import annotations

import copy

import pytest
import torch

from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.modules import ConditionalVAE
from omiga_torchrl.objectives import ForeachSoftUpdate, ICQLoss
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, losses_of, sequences
from tests.objectives.icq_cases import SteadyVAE, one_agent
from tests.objectives.test_official import log_density, mlp

GAMMA = 0.99
SPECS = pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])


def built(spec, *, behavior=None, **kwargs):
    """The loss in double precision, its plain networks and its plain targets, all apart."""
    networks = icq_networks(spec, hidden_sizes=(16, 16), variant="official")
    estimate = "batch" if behavior is None else "behavior"
    loss = ICQLoss(
        *(networks.actor, networks.qvalue, networks.mixer),
        behavior_network=behavior,
        partition_estimate=estimate,
        variant="official",
        **kwargs,
    ).double()
    loss.gamma = GAMMA  # set in float64: 0.99 as float32 is 1e-8 off
    for name in ("policy_temperature", "critic_temperature"):
        setattr(loss, name, kwargs.get(name, getattr(loss.options, name)))
    updater = ForeachSoftUpdate(loss, tau=0.3)
    plain = [networks.actor.module[0].module, networks.qvalue.module]
    plain += [networks.mixer.module] if networks.mixer is not None else []
    bars = copy.deepcopy(plain[1:])
    with torch.no_grad():  # move the online networks away from their targets
        for parameter in loss.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        updater.step()
        for bar, online in zip(bars, plain[1:], strict=True):
            for old, new in zip(bar.parameters(), online.parameters(), strict=True):
                old.lerp_(new, 0.3)
    return loss, plain, bars


def double(data):
    return data.apply(lambda x: x.double() if x.is_floating_point() else x)


def q_of(network, spec, observation, action):
    if spec.discrete:
        return mlp(network, observation).gather(-1, action[..., None])[..., 0]
    return mlp(network, torch.cat([observation, action], -1))[..., 0]


def log_pi(actor, spec, data):
    mask = data.get(("agents", "action_mask"), None)
    return log_density(actor, spec, data["agents", "observation"], data["agents", "action"], mask)


def agree(loss, plain, expected, got):
    for term, value in expected.items():
        assert got[term].item() == pytest.approx(value.item(), rel=1e-10), term
    parameters = [p for network in plain for p in network.parameters()]
    reference = torch.autograd.grad(sum(expected.values()), parameters, retain_graph=True)
    ours = torch.autograd.grad(sum(got[term] for term in expected), parameters)
    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


@SPECS
@pytest.mark.parametrize("beta", [600.0, 0.1])
def test_single_agent_softmax_code(spec, beta):
    torch.manual_seed(0)
    spec = one_agent(spec)
    loss, plain, (q_bar,) = built(spec, policy_temperature=beta, critic_temperature=beta)
    data = double(sequences(spec, 16))
    actor, q = plain
    o, a = data["agents", "observation"], data["agents", "action"]
    online, bar = q_of(q, spec, o, a)[..., 0], q_of(q_bar, spec, o, a)[..., 0].detach()
    log_prob = log_pi(actor, spec, data)[..., 0]
    steps = [(b, t) for b in range(16) for t in range(3)]  # those with a successor
    ended = [(b, 3) for b in range(16) if data["next", "terminated"][b, 3]]
    reward = {step: data["next", "reward"][step][0] for step in steps + ended}
    following = torch.stack([bar[b, t + 1] for b, t in steps])
    rho = (len(steps) / 2 * (following / beta).softmax(0)).clamp(0, 1)
    y = {step: reward[step] + GAMMA * rho[i] * following[i] for i, step in enumerate(steps)}
    y |= {step: reward[step] for step in ended}
    loss_q = torch.stack([(online[step] - y[step]) ** 2 for step in y]).mean()
    td = [reward[b, t] + GAMMA * online[b, t + 1] - online[b, t] for b, t in steps]
    td += [reward[step] - online[step] for step in ended]
    weight = torch.stack(td).detach().div(beta).softmax(0) * len(y)
    loss_pi = -torch.stack([weight[i] * log_prob[step] for i, step in enumerate(y)]).mean()
    agree(loss, plain, {"loss_qvalue": loss_q, "loss_actor": loss_pi}, losses_of(loss(data)))
    if beta == 0.1:  # the clamp is at work
        assert (rho == 1).any() and (rho < 1).any()


@pytest.mark.parametrize("beta", [600.0, 0.5])
def test_single_agent_behavior_code(beta):
    torch.manual_seed(0)
    spec = one_agent(CONTINUOUS)
    model = SteadyVAE(spec, hidden_sizes=(8,), max_latent=0.5)
    loss, plain, (q_bar,) = built(spec, behavior=model, policy_temperature=beta, critic_temperature=beta)
    data = double(sequences(spec, 8))
    actor, q = plain
    o, a = data["agents", "observation"], data["agents", "action"]
    online, bar = q_of(q, spec, o, a)[..., 0], q_of(q_bar, spec, o, a)[..., 0].detach()
    drawn = model.sample(o, 100)
    ratio = torch.zeros_like(bar)
    for b in range(8):
        for t in range(4):
            values = [q_of(q_bar, spec, o[b, t], action)[0] for action in drawn[:, b, t]]
            values += 10 * [bar[b, t]]
            z = torch.stack(values).div(beta).exp().mean()
            ratio[b, t] = (bar[b, t] / beta).exp() / z
    ratio = ratio.detach()
    errors = []
    for b in range(8):
        for t in range(4):
            reward = data["next", "reward"][b, t, 0]
            if t < 3:
                y = reward + GAMMA * ratio[b, t + 1].clamp(0, 1) * bar[b, t + 1]
                errors.append((online[b, t] - y) ** 2)
            elif data["next", "terminated"][b, t]:
                errors.append((online[b, t] - reward) ** 2)
    loss_pi = -(ratio * log_pi(actor, spec, data)[..., 0]).mean()
    expected = {"loss_qvalue": torch.stack(errors).mean(), "loss_actor": loss_pi}
    agree(loss, plain, expected, losses_of(loss(data)))
    assert (ratio > 1).any() and (ratio < 1).any()


def released_mixer(mixer, state):
    n = mixer.n_agents
    first = (state @ mixer.first.weight.T + mixer.first.bias).abs().unflatten(-1, (n, -1))
    second = (state @ mixer.second.weight.T + mixer.second.bias).abs()
    k = (first * second[..., None, :]).sum(-1)
    return k / k.sum(-1, keepdim=True)


def team_targets(data, spec, bars, alpha, lmbda):
    o, a = data["agents", "observation"], data["agents", "action"]
    batch, time = data.batch_size
    with torch.no_grad():
        total = (released_mixer(bars[1], data["state"]) * q_of(bars[0], spec, o, a)).sum(-1)
        weighted = [batch * (total[:, t] / alpha).softmax(0) * total[:, t] for t in range(time)]
        g = torch.zeros(batch, time, dtype=torch.float64)
        ended = data["next", "terminated"][:, -1, 0]
        g[:, -1] = torch.where(ended, data["next", "reward"][:, -1, 0], weighted[-1])
        for t in reversed(range(time - 1)):
            one_step = data["next", "reward"][:, t, 0] + (1 - lmbda) * GAMMA * weighted[t + 1]
            g[:, t] = lmbda * GAMMA * g[:, t + 1] + one_step
    return g, ended


@pytest.mark.parametrize(("critic_temperature", "policy_temperature"), [(1000.0, 0.1), (1.0, 1.0)])
def test_team_code(critic_temperature, policy_temperature):
    torch.manual_seed(0)
    spec = DISCRETE
    loss, plain, bars = built(
        spec, critic_temperature=critic_temperature, policy_temperature=policy_temperature
    )
    data = double(sequences(spec, 16))
    actor, q, mixer = plain
    o, a = data["agents", "observation"], data["agents", "action"]
    k, local = released_mixer(mixer, data["state"]), q_of(q, spec, o, a)
    g, ended = team_targets(data, spec, bars, critic_temperature, 0.75)
    square = ((k * local).sum(-1) - g) ** 2
    each = [square[:, t].mean() for t in range(3)] + [square[ended, 3].mean()]
    for t, expected in enumerate(each):
        got = loss.qvalue_loss(data, target=loss.qvalue_target(data), step=t)
        agree(loss, plain[1:], {"loss": expected}, {"loss": got})
    whole = torch.cat([square[:, :3].flatten(), square[ended, 3]]).mean()
    scores = mlp(actor.network, o).masked_fill(~data["agents", "action_mask"], -torch.inf)
    baseline = (scores.softmax(-1) * mlp(q, o)).sum(-1)
    advantage = (local - baseline).detach()
    loss_pi = torch.zeros((), dtype=torch.float64)
    log_prob = log_pi(actor, spec, data)
    for t in range(4):
        for i in range(3):
            weight = 16 * (advantage[:, t, i] / policy_temperature).softmax(0)
            loss_pi = loss_pi - (k[:, t, i].detach() * weight * log_prob[:, t, i]).sum()
    loss_pi = loss_pi / (16 * 4 * 3)
    agree(loss, plain, {"loss_qvalue": whole, "loss_actor": loss_pi}, losses_of(loss(data)))


def test_team_code_for_continuous_actions_takes_the_td_error_of_the_team():
    torch.manual_seed(0)
    spec = CONTINUOUS
    loss, plain, bars = built(spec, critic_temperature=1.0, policy_temperature=1.0)
    data = double(sequences(spec, 16))
    actor, q, mixer = plain
    o, a = data["agents", "observation"], data["agents", "action"]
    k = released_mixer(mixer, data["state"])
    total = (k * q_of(q, spec, o, a)).sum(-1)
    g, ended = team_targets(data, spec, bars, 1.0, 0.75)
    square = (total - g) ** 2
    whole = torch.cat([square[:, :3].flatten(), square[ended, 3]]).mean()
    reward, log_prob, terms = data["next", "reward"][..., 0], log_pi(actor, spec, data), []
    for t in range(4):
        rows = ended if t == 3 else torch.ones(16, dtype=torch.bool)
        following = GAMMA * total[:, t + 1] if t < 3 else 0.0
        advantage = (reward[:, t] + following - total[:, t]).detach()[rows]
        weight = len(advantage) * advantage.softmax(0)
        terms.append((k[rows, t].detach() * weight[:, None] * log_prob[rows, t]).flatten())
    loss_pi = -torch.cat(terms).mean()
    agree(loss, plain, {"loss_qvalue": whole, "loss_actor": loss_pi}, losses_of(loss(data)))


def test_the_released_constants():
    single, team = built(one_agent(CONTINUOUS))[0], built(CONTINUOUS)[0]
    assert (single.policy_temperature, single.critic_temperature, single.lmbda) == (600, 600, 0)
    assert (team.policy_temperature.item(), team.critic_temperature, team.lmbda) == (0.1, 1000, 0.75)
    model = icq_networks(one_agent(CONTINUOUS), partition_estimate="behavior", variant="official").behavior
    assert isinstance(model, ConditionalVAE) and model.max_latent == 0.5
