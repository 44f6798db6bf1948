"""AWAC for teams (arXiv:2006.09359)."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives.awac import AWACLoss


@dataclass(frozen=True, kw_only=True)
class AWACConfig(LikelihoodConfig, CriticConfig):
    """Arguments of AWAC, besides those of :class:`CriticConfig`.

    Attributes:
        temperature: of the policy's weights, > 0, in units of return; the paper's lambda.
        max_weight: largest weight of the policy's loss, > 0.
        num_action_samples: of the policy for the advantage of continuous actions, >= 1; 1 as published.
    """

    temperature: float = 1.0
    max_weight: float = 100.0
    num_action_samples: int = 1


@register_algorithm("awac", AWACConfig)
def make_awac(spec: AnyTeamSpec, config: AWACConfig) -> Algorithm:
    """Assemble AWAC for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_awac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    build = NetworkBuilder(spec, config)
    actor, qvalue, mixer = build.actor(), build.qvalue(), build.mixer()
    loss = AWACLoss(actor, qvalue, mixer, **config.loss_arguments(AWACLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer]})
