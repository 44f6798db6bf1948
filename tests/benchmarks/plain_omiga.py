"""OMIGA's gradient step in plain PyTorch, as the released procedure does it and with one backward pass.

Both do the maths of the variant ``"paper"`` of :class:`omiga_torchrl.objectives.OMIGALoss` for continuous
actions, on the same networks, without TensorDicts: what the library's own parts cost is seen against them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn

GAMMA, ALPHA, TAU, RATE, MAX_NORM, MAX_EXPONENT = 0.99, 10.0, 0.005, 5e-4, 1.0, 10.0
Batch = dict[str, Tensor]


class PlainOMIGA:
    """Networks of OMIGA and its three losses.

    Args:
        parts: loss, policy and parameter groups of ``make_omiga`` with one critic.
    """

    def __init__(self, parts: Any) -> None:
        loss: Any = parts.loss
        self.groups = {name: list(group) for name, group in parts.parameter_groups.items()}
        policy: Any = parts.policy
        self.actor = policy.module[0].module
        self.qvalue, self.value = loss.qvalue_network.module, loss.value_network.module
        self.mixer = loss.mixer_network.module
        self.target = copy.deepcopy(self.qvalue).requires_grad_(False)
        self.pairs = list(zip(self.target.parameters(), self.qvalue.parameters(), strict=True))

    def weights(self, batch: Batch) -> Tensor:
        """``exp(z)``, continued in a straight line beyond the largest exponent, and ``z``'s weights."""
        with torch.no_grad():
            weight, _ = self.mixer.weights(batch["state"])
            value = self.value(batch["observation"])
            advantage = self.target(batch["observation"], batch["action"]) - value
            return _continued_exp(weight * advantage / ALPHA)

    def value_loss(self, batch: Batch) -> Tensor:
        """Of the local values."""
        with torch.no_grad():
            weight, _ = self.mixer.weights(batch["state"])
            qvalue = self.target(batch["observation"], batch["action"])
        value = self.value(batch["observation"])
        return (_continued_exp(weight * (qvalue - value) / ALPHA) + weight * value / ALPHA).mean()

    def qvalue_loss(self, batch: Batch) -> Tensor:
        """Of the global action value."""
        with torch.no_grad():
            weight, bias = self.mixer.weights(batch["next_state"])
            following = (weight * self.value(batch["next_observation"])).sum(-2) + bias
            target = batch["reward"] + GAMMA * following * (1 - batch["terminated"])
        weight, bias = self.mixer.weights(batch["state"])
        chosen = self.qvalue(batch["observation"], batch["action"])
        return ((weight * chosen).sum(-2) + bias - target).square().mean()

    def actor_loss(self, batch: Batch) -> Tensor:
        """Of the policies."""
        mean, std = self.actor(batch["observation"])
        before = torch.atanh(batch["action"].clamp(-1 + 1e-7, 1 - 1e-7))
        density = torch.distributions.Normal(mean, std, validate_args=False).log_prob(before)
        slope = 2 * (0.6931471805599453 - before - nn.functional.softplus(-2 * before))
        return -(self.weights(batch).squeeze(-1) * (density - slope).sum(-1)).mean()


def _continued_exp(z: Tensor) -> Tensor:
    excess = (z - MAX_EXPONENT).clamp(min=0)
    return (z - excess).exp() * (1 + excess)


def entries_of(batch: TensorDictBase) -> Batch:
    """The entries of a batch that OMIGA reads, as floating-point tensors."""
    following = batch["next"]
    return {
        "observation": batch["agents", "observation"],
        "action": batch["agents", "action"],
        "state": batch["state"],
        "next_observation": following["agents", "observation"],
        "next_state": following["state"],
        "reward": following["reward"],
        "terminated": following["terminated"].float(),
    }


def released_procedure(parts: Any, sample: Callable[[], TensorDictBase]) -> Callable[[], None]:
    """A step as published: each loss with its own passes, backward, clipping and Adam, one after the other.

    Args:
        parts: of ``make_omiga`` with one critic.
        sample: draws a batch.
    """
    plain = PlainOMIGA(parts)
    optimizers = {name: torch.optim.Adam(group, RATE) for name, group in plain.groups.items()}
    losses = {"value": plain.value_loss, "qvalue": plain.qvalue_loss, "actor": plain.actor_loss}

    def run() -> None:
        batch = entries_of(sample())
        for name, loss in losses.items():
            optimizers[name].zero_grad()
            loss(batch).backward()
            nn.utils.clip_grad_norm_(plain.groups[name], MAX_NORM)
            optimizers[name].step()
        with torch.no_grad():
            for target, online in plain.pairs:
                target.mul_(1 - TAU).add_(online, alpha=TAU)

    return run


def one_backward(parts: Any, sample: Callable[[], TensorDictBase]) -> Callable[[], None]:
    """A step with one backward pass over the sum of the losses and one fused Adam.

    Args:
        parts: of ``make_omiga`` with one critic.
        sample: draws a batch.
    """
    plain = PlainOMIGA(parts)
    optimizer = torch.optim.Adam([p for group in plain.groups.values() for p in group], RATE, fused=True)
    targets, online = (list(tensors) for tensors in zip(*plain.pairs, strict=True))

    def run() -> None:
        batch = entries_of(sample())
        (plain.value_loss(batch) + plain.qvalue_loss(batch) + plain.actor_loss(batch)).backward()
        _clip(plain.groups.values())
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(targets, online, TAU)

    return run


def _clip(groups: Iterable[list[nn.Parameter]]) -> None:
    for group in groups:
        nn.utils.clip_grad_norm_(group, MAX_NORM)
