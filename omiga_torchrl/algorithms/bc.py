"""Behavior cloning."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives.bc import MultiAgentBCLoss


@dataclass(frozen=True, kw_only=True)
class BCConfig(LikelihoodConfig):
    """Arguments of behavior cloning: those of :class:`LikelihoodConfig`."""


@register_algorithm("bc", BCConfig)
def make_bc(spec: AnyTeamSpec, config: BCConfig) -> Algorithm:
    """Assemble behavior cloning for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_bc(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor']
    """
    build = NetworkBuilder(spec, config)
    policy = build.actor()
    loss = MultiAgentBCLoss(policy, **config.loss_arguments(MultiAgentBCLoss))
    return build.algorithm(policy, loss, {"actor": [policy]})
