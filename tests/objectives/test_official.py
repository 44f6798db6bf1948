"""``variant="official"`` against an independent float64 transcription in plain torch.

Written from the equations of the released code (one batch, B samples of n agents; a bar
is a target network):

    y   = r + gamma * alive * (sum_i wbar_i(s') Vbar_i(o'_i) + bbar(s'))
    L_Q = mean_B (sum_i w_i(s) Q_i(o_i, a_i) + b(s) - y)^2
    z_i = clamp(wbar_i (Qbar_i - V_i) / alpha, -10, 10),   m = max(-1, max z)
    L_V = mean_{B,n} exp(z_i - m) + exp(-m) wbar_i V_i / alpha
    L_pi = - mean_{B,n} exp(z_i) log pi_i(a_i | o_i)
"""

from __future__ import annotations

import copy
import math

import pytest
import torch

from omiga_torchrl.algorithms import omiga_networks
from omiga_torchrl.objectives import ForeachSoftUpdate, OMIGALoss
from tests.objectives.contract import CONTINUOUS, DISCRETE, losses_of


def mlp(network, x):
    n = x.shape[-2]
    x = torch.cat([x, torch.eye(n, dtype=x.dtype).expand(*x.shape[:-1], n)], -1)
    layers = [layer for layer in network.body if isinstance(layer, torch.nn.Linear)]
    for layer in layers[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    return x @ layers[-1].weight.T + layers[-1].bias


def mixer_outputs(mixer, state):
    first = next(layer for layer in mixer.body if isinstance(layer, torch.nn.Linear))
    hidden = (state @ first.weight.T + first.bias).clamp(min=0)
    weight = (hidden @ mixer.weight_head.weight.T + mixer.weight_head.bias).abs()
    return weight, (hidden @ mixer.bias_head.weight.T + mixer.bias_head.bias)[:, 0]


def log_density(network, spec, observation, action, mask):
    if spec.discrete:
        scores = mlp(network.network, observation).masked_fill(~mask, -math.inf)
        return scores.log_softmax(-1).gather(-1, action[..., None])[..., 0]
    mean, log_std = mlp(network.network, observation).chunk(2, -1)
    mean, log_std = mean.clamp(-9, 9), log_std.clamp(-5, 2)
    bound = 1 - 1e-7
    clipped = action.clamp(-bound, bound)
    y = 0.5 * (torch.log1p(clipped) - torch.log1p(-clipped))
    normal = -((y - mean) ** 2) / (2 * (2 * log_std).exp()) - log_std - 0.5 * math.log(2 * math.pi)
    jacobian = 2 * (math.log(2) - y - torch.nn.functional.softplus(-2 * y))
    return (normal - jacobian).sum(-1)


def transcription(nets, bars, spec, data, alpha, gamma):
    actor, q, v, mixer = nets
    q_bar, v_bar, mixer_bar = bars
    o, a = data["agents", "observation"], data["agents", "action"]
    following = data["next"]

    def q_of(network):
        if spec.discrete:
            return mlp(network, o).gather(-1, a[..., None])[..., 0]
        return mlp(network, torch.cat([o, a], -1))[..., 0]

    with torch.no_grad():
        w_next, b_next = mixer_outputs(mixer_bar, following["state"])
        v_next = mlp(v_bar, following["agents", "observation"])[..., 0]
        alive = 1.0 - following["terminated"][:, 0].double()
        y = following["reward"][:, 0] + gamma * alive * ((w_next * v_next).sum(-1) + b_next)
        w_bar, _ = mixer_outputs(mixer_bar, data["state"])
        qb = q_of(q_bar)
    w, b = mixer_outputs(mixer, data["state"])
    loss_q = (((w * q_of(q)).sum(-1) + b - y) ** 2).mean()
    value = mlp(v, o)[..., 0]
    z = ((w_bar * qb - w_bar * value) / alpha).clamp(-10, 10)
    m = max(-1.0, z.detach().max().item())
    loss_v = ((z - m).exp() + math.exp(-m) * w_bar * value / alpha).mean()
    mask = data.get(("agents", "action_mask"), None)
    loss_pi = -(z.detach().exp() * log_density(actor, spec, o, a, mask)).mean()
    return {"loss_value": loss_v, "loss_qvalue": loss_q, "loss_actor": loss_pi}


@pytest.mark.parametrize("alpha", [10.0, 0.01])  # 0.01: most z beyond the clamp
@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_losses_and_gradients_agree_to_1e_10(spec, alpha):
    torch.manual_seed(0)
    nets = omiga_networks(spec, hidden_sizes=(16, 16), mixer_hidden_sizes=(8,))
    loss = OMIGALoss(*nets, alpha=alpha, variant="official").double()
    loss.gamma, loss.alpha = 0.99, alpha  # set in float64: 0.99 as float32 is 1e-8 off
    updater = ForeachSoftUpdate(loss, tau=0.3)
    plain = [net.module for net in (nets.actor.module[0], *nets[1:])]
    bars = copy.deepcopy(plain[1:])
    with torch.no_grad():  # move the online networks away from their targets
        for parameter in loss.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        updater.step()
        for bar, online in zip(bars, plain[1:], strict=True):
            for old, new in zip(bar.parameters(), online.parameters(), strict=True):
                old.lerp_(new, 0.3)
    data = spec.fake_batch(64).apply(lambda x: x.double() if x.is_floating_point() else x)
    if not spec.discrete:
        data["agents", "action"][:4] = 1.0  # at the bound
    expected = transcription(plain, bars, spec, data, alpha, 0.99)
    got = losses_of(loss(data))
    for term, value in expected.items():
        assert got[term].item() == pytest.approx(value.item(), rel=1e-10), term
    parameters = [p for net in plain for p in net.parameters()]
    reference = torch.autograd.grad(sum(expected.values()), parameters, retain_graph=True)
    ours = torch.autograd.grad(sum(got.values()), parameters)
    for mine, theirs in zip(ours, reference, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
