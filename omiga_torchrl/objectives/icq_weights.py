"""The weights of ICQ's critic and policy, by the batch or by a model of the behaviour policy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from omiga_torchrl import functional as kernels


@dataclass
class Critic:
    """One evaluation of Q network and mixer, online or target.

    Attributes:
        local: Q_i of the data actions, ``[*B, T, N]``.
        every: Q_i of all actions, ``[*B, T, N, K]``; None if continuous.
        weight: mixer weight, ``[*B, T, N]``.
        bias: mixer bias, ``[*B, T]``.
    """

    local: Tensor
    every: Tensor | None
    weight: Tensor
    bias: Tensor

    @property
    def total(self) -> Tensor:
        """Q_tot of the data actions, ``[*B, T]``."""
        return kernels.mix_linearly(self.local, self.weight, self.bias)

    def normalised(self) -> Critic:
        """The same with weights of sum 1 and no bias."""
        smallest = torch.finfo(self.weight.dtype).tiny
        weight = self.weight / self.weight.sum(-1, keepdim=True).clamp(min=smallest)
        return Critic(self.local, self.every, weight, torch.zeros_like(self.bias))

    def detached(self) -> Critic:
        """The same without gradients."""
        every = None if self.every is None else self.every.detach()
        return Critic(self.local.detach(), every, self.weight.detach(), self.bias.detach())


@dataclass
class Candidates:
    """Actions of the behaviour model.

    Attributes:
        drawn: samples, ``[M, *B, T, N, A]``; None for all of finitely many actions.
        log_mass: log probability of each, broadcastable to ``[*B, T, N, M]``.
    """

    drawn: Tensor | None
    log_mass: Tensor


@dataclass
class Behaviour:
    """What the partition function of a state needs.

    Attributes:
        action_value: Q_i of actions, ``[*B, T, N, M]``: all of them, or samples.
        log_mass: their log probabilities, broadcastable to it.
    """

    action_value: Tensor
    log_mass: Tensor

    def log_weight(self, critic: Critic, alpha: Tensor) -> Tensor:
        """``w_i Q_i / alpha - log Z_i``, ``[*B, T, N]``: the log weight of each agent's data action."""
        scale = critic.weight / alpha
        log_z = kernels.log_partition(scale.unsqueeze(-1) * self.action_value, self.log_mass)
        return scale * critic.local - log_z


def sample_masses(samples: int, copies: int, like: Tensor) -> Tensor:
    """Log mass of each of ``samples`` sampled actions and, if ``copies``, of the data action.

    Args:
        samples: number of samples.
        copies: how many times the data action counts.
        like: gives dtype and device.

    Examples:
        >>> sample_masses(3, 1, torch.zeros(1)).exp()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    mass = [1 / (samples + copies)] * samples + [copies / (samples + copies)] * (copies > 0)
    return torch.tensor([math.log(m) for m in mass], dtype=like.dtype, device=like.device)


def batch_dims(ndim: int, per_step: bool) -> tuple[int, ...]:
    """The dimensions of ``[*B, T]`` that a softmax over the batch runs over.

    Args:
        ndim: number of dimensions of ``[*B, T]``.
        per_step: whether each time step has a softmax of its own.
    """
    return tuple(range(ndim - 1 if per_step else ndim))
