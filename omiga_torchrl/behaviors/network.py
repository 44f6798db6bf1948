"""The network of behaviour policies."""

from __future__ import annotations

from typing import Any

from tensordict.nn import ProbabilisticTensorDictSequential
from torch import nn

from omiga_torchrl.modules import make_actor
from omiga_torchrl.specs import TeamSpec


def behaviour_actor(spec: TeamSpec, hidden: list[int], **options: Any) -> ProbabilisticTensorDictSequential:
    """The network of behaviour policies: one MLP with tanh, shared by all agents.

    Args:
        spec: sizes of the team.
        hidden: hidden sizes.
        options: further arguments of :func:`omiga_torchrl.modules.make_actor`.
    """
    return make_actor(spec, hidden_sizes=hidden, activation=nn.Tanh, return_log_prob=True, **options)
