"""Networks by hand, in double precision: what losses are compared with."""

from __future__ import annotations

import math

import torch
from torch import nn


def double(data):
    return data.apply(lambda x: x.double() if x.dtype.is_floating_point else x)


def nudge(*networks):
    """Change parameters in place, so that they differ from target copies made before."""
    torch.manual_seed(1)
    with torch.no_grad():
        for network in networks:
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))


def mlp(network, *inputs):
    """An ``AgentMLP`` with shared weights and ids."""
    x = torch.cat(inputs, -1)
    ids = torch.eye(x.shape[-2], dtype=x.dtype).expand(*x.shape[:-1], -1)
    x = torch.cat([x, ids], -1)
    linear = [layer for layer in network.body if isinstance(layer, nn.Linear)]
    for layer in linear[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    return x @ linear[-1].weight.T + linear[-1].bias


def twins(qvalue, *inputs):
    """Both members of a Q network, ``[*B, N, out, 2]``."""
    return torch.stack([mlp(member, *inputs) for member in qvalue.module.members], -1)


def mixing(mixer, state):
    """Weight ``[*B, N]`` and bias ``[*B]`` of a ``LinearMixer`` with one hidden layer; None without one."""
    if mixer is None:
        return None
    network = mixer.module
    hidden = network.body[0]
    x = (state @ hidden.weight.T + hidden.bias).clamp(min=0)
    weight = (x @ network.weight_head.weight.T + network.weight_head.bias).abs()
    return weight, (x @ network.bias_head.weight.T + network.bias_head.bias)[..., 0]


def team(local, mixed):
    return local if mixed is None else (mixed[0] * local).sum(-1) + mixed[1]


def share(local, mixed):
    return local if mixed is None else mixed[0].detach() * local


def gaussian(actor, observation):
    """Mean and standard deviation before tanh of a ``tanh_gaussian_actor``."""
    loc, log_std = mlp(actor[0].module.network, observation).chunk(2, -1)
    return loc.clamp(-9, 9), log_std.clamp(-5, 2).exp()


def log_density(actor, data):
    """Log density of the actions, continuous in (-1, 1) or discrete under the mask, ``[*B, N]``."""
    group = data["agents"]
    if group["action"].dtype.is_floating_point:
        loc, scale = gaussian(actor, group["observation"])
        y = group["action"].clamp(-1 + 1e-7, 1 - 1e-7).atanh()
        normal = -0.5 * ((y - loc) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
        return (normal - (1 - y.tanh() ** 2).log()).sum(-1)
    chances = probabilities(actor, group)
    return chances.gather(-1, group["action"].unsqueeze(-1)).squeeze(-1).log()


def probabilities(actor, group):
    """Probabilities of legal actions, ``[*B, N, K]``."""
    scores = mlp(actor[0].module.network, group["observation"]).exp() * group["action_mask"]
    return scores / scores.sum(-1, keepdim=True)


def chosen(every, action):
    """Values ``[*B, N, E]`` of actions among ``[*B, N, K, E]``; of continuous ones the only value."""
    if action.dtype.is_floating_point:
        return every[..., 0, :]
    picked = [every[..., k, :] * (action == k).unsqueeze(-1) for k in range(every.shape[-2])]
    return sum(picked)


def qvalues(qvalue, group):
    """Values ``[*B, N, out, 2]`` at a group's observations and, if continuous, actions."""
    inputs = [group["observation"]]
    if group["action"].dtype.is_floating_point:
        inputs.append(group["action"])
    return twins(qvalue, *inputs)


def ends(data, mixed):
    """Rewards and ``1 - terminated``, ``[*B]`` of a team, ``[*B, 1]`` of independent agents."""
    reward, alive = data["next", "reward"], 1 - data["next", "terminated"].double()
    return (reward, alive) if mixed is None else (reward[..., 0], alive[..., 0])


def assert_gradients(expected, parameters):
    """The gradients that a backward pass left are those of the scalar ``expected``."""
    parameters = list(parameters)
    wanted = torch.autograd.grad(expected, parameters, allow_unused=True, retain_graph=True)
    for parameter, gradient in zip(parameters, wanted, strict=True):
        zero = torch.zeros_like(parameter)
        found = zero if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found, zero if gradient is None else gradient, rtol=1e-9, atol=1e-11)
