"""Policies of a team: tanh-Gaussian for continuous, masked categorical for discrete actions."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tensordict import NestedKey
from tensordict.nn import (
    ProbabilisticTensorDictModule,
    ProbabilisticTensorDictSequential,
    TensorDictModuleBase,
)
from torch import Tensor, nn
from torch.distributions import Categorical

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable
from omiga_torchrl.deprecation import NETWORK_NAMES, renamed_arguments
from omiga_torchrl.flags import as_flag
from omiga_torchrl.functional.precision import at_least_single
from omiga_torchrl.modules.bounds import ActionBounds, with_bounds
from omiga_torchrl.modules.censored import PolicyDistribution, distribution_class
from omiga_torchrl.modules.recurrent import agent_network
from omiga_torchrl.specs import TeamSpec


class GaussianHead(nn.Module):
    """Splits a network's output into mean and standard deviation, both bounded.

    The mean is clamped to ``[-mean_limit, mean_limit]`` and the log standard deviation
    to ``log_std_range`` (OMIGA's published constants: 9 and [-5, 2]). tanh is 1 to
    float32 precision beyond 9, so the first clamp changes no action.

    Args:
        network: ``[*B, N, O] -> [*B, N, 2 A]``; ``[*B, N, A]`` with ``free_log_std``.

    Keyword Args:
        mean_limit: bound of the mean before tanh.
        log_std_range: bounds of the log standard deviation before tanh.
        free_log_std: learn one log standard deviation per feature, ``A`` in all, that does not
            depend on the observation and is the same for all agents; ``None``: the network's.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        mean_limit: float = 9.0,
        log_std_range: tuple[float, float] = (-5.0, 2.0),
        free_log_std: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.log_std = None if free_log_std is None else nn.Parameter(torch.zeros(free_log_std))
        self.mean_limit = mean_limit
        self.log_std_range = log_std_range

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each ``[*B, N, A]``."""
        mean = self.network(*inputs)
        if self.log_std is None:
            mean, log_std = mean.chunk(2, -1)
        else:
            log_std = self.log_std.expand_as(mean)
        return mean.clamp(-self.mean_limit, self.mean_limit), log_std.clamp(*self.log_std_range).exp()


class MaskedLogits(nn.Module):
    """Logits with those of illegal actions replaced by the smallest finite number.

    Illegal actions get probability and gradient zero. An agent without any legal action
    (dead, or padding) keeps its raw logits, so that nothing becomes NaN; its samples
    must be ignored. Logits are of single precision at least.

    Args:
        network: ``[*B, N, O] -> [*B, N, K]``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Logits ``[*B, N, K]`` under ``action_mask [*B, N, K]`` (True = legal)."""
        logits = at_least_single(self.network(observation))
        if action_mask is None:
            return logits
        legal = as_flag(action_mask)
        legal = legal | ~legal.any(-1, keepdim=True)
        return logits.masked_fill(~legal, torch.finfo(logits.dtype).min)


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def tanh_gaussian_actor(
    spec: TeamSpec,
    *,
    observation: NestedKey = keys.OBSERVATION,
    action: NestedKey = keys.ACTION,
    mean_limit: float = 9.0,
    log_std_range: tuple[float, float] = (-5.0, 2.0),
    state_dependent_std: bool = True,
    return_log_prob: bool = False,
    distribution: PolicyDistribution = "tanh",
    **network: Any,
) -> ProbabilisticTensorDictSequential:
    """A decentralised policy for continuous actions: observation ``[*B,N,O]`` -> action ``[*B,N,A]``.

    Acts with samples or with the squashed or clipped mean, after TorchRL's exploration type.

    Args:
        spec: sizes and action bounds.

    Keyword Args:
        observation: key read.
        action: key written; its siblings ``loc`` and ``scale`` are written too.
        mean_limit: see :class:`GaussianHead`.
        log_std_range: see :class:`GaussianHead`.
        state_dependent_std: whether the network gives the standard deviation, or it is a
            parameter of its own.
        return_log_prob: also write ``action_log_prob [*B, N]``.
        distribution: see :func:`omiga_torchrl.modules.distribution_class`; :func:`make_actor` takes it, too.
        **network: passed to :func:`agent_network`: ``rnn_hidden_size``, and arguments of :class:`AgentMLP`.

    Examples:
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> policy = tanh_gaussian_actor(spec, hidden_sizes=(16,))
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3, 2])
    """
    size = spec.action_size
    head = partial(
        GaussianHead,
        mean_limit=mean_limit,
        log_std_range=log_std_range,
        free_log_std=None if state_dependent_std else size,
    )
    loc, scale = keys.sibling_key(action, "loc"), keys.sibling_key(action, "scale")
    outputs = 2 * size if state_dependent_std else size
    body = agent_network(spec, outputs, [loc, scale], wrap=head, observation=observation, **network)
    bounds = ActionBounds(spec.action_low, spec.action_high)
    of_actions = distribution_class(distribution, [spec])
    return with_bounds(body, bounds, action=action, return_log_prob=return_log_prob, distribution=of_actions)


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def categorical_actor(
    spec: TeamSpec,
    *,
    observation: NestedKey = keys.OBSERVATION,
    action: NestedKey = keys.ACTION,
    action_mask: NestedKey = keys.ACTION_MASK,
    return_log_prob: bool = False,
    **network: Any,
) -> ProbabilisticTensorDictSequential:
    """A decentralised policy for integer actions ``[*B, N]``, masked if ``spec.masked``.

    Args:
        spec: sizes; ``action_size`` is the number of actions K.

    Keyword Args:
        observation: key read.
        action: key written; its sibling ``logits`` is written too.
        action_mask: mask read if the task has one, ``[*B, N, K]``, True = legal.
        return_log_prob: also write ``action_log_prob [*B, N]``.
        **network: passed to :func:`agent_network`: ``rnn_hidden_size``, and arguments of :class:`AgentMLP`.

    Examples:
        >>> spec = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
        >>> policy = categorical_actor(spec, hidden_sizes=(16,))
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3])
    """
    logits = keys.sibling_key(action, "logits")
    mask = {action_mask: 0} if spec.masked else {}
    body = agent_network(
        spec, spec.action_size, logits, extra=mask, wrap=MaskedLogits, observation=observation, **network
    )
    return with_logits(body, action=action, return_log_prob=return_log_prob)


def with_logits(
    network: TensorDictModuleBase, *, action: NestedKey = keys.ACTION, return_log_prob: bool = False
) -> ProbabilisticTensorDictSequential:
    """A policy that samples integer actions.

    Args:
        network: writes ``logits`` beside the action.

    Keyword Args:
        action: key written.
        return_log_prob: also write ``action_log_prob`` beside the action.
    """
    sampler = ProbabilisticTensorDictModule(
        in_keys={"logits": keys.sibling_key(action, "logits")},
        out_keys=[action],
        distribution_class=Categorical,
        distribution_kwargs={"validate_args": False},
        return_log_prob=return_log_prob,
        log_prob_key=keys.sibling_key(action, "action_log_prob"),
    )
    return ProbabilisticTensorDictSequential(network, sampler)


@renamed_arguments(**NETWORK_NAMES)
@rebuildable
def make_actor(spec: TeamSpec, **kwargs: Any) -> ProbabilisticTensorDictSequential:
    """:func:`categorical_actor` or :func:`tanh_gaussian_actor`, whichever fits ``spec``."""
    if spec.discrete:
        kwargs.pop("distribution", None)  # of continuous actions only
        return categorical_actor(spec, **kwargs)
    return tanh_gaussian_actor(spec, **kwargs)
