"""IQL for teams: implicit Q-learning (ICLR 2022, arXiv:2110.06169)."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives.iql import IQLLoss


@dataclass(frozen=True, kw_only=True)
class IQLConfig(LikelihoodConfig, CriticConfig):
    """Arguments of implicit Q-learning, besides those of :class:`CriticConfig`.

    Attributes:
        expectile: of Q that V follows, in (0, 1): 0.5 is the mean, towards 1 the best action of the data.
        temperature: of the policy's weights, > 0, in units of return; the paper's beta is its inverse.
        max_weight: largest weight of the policy's loss, > 0.
    """

    expectile: float = 0.7
    temperature: float = 1 / 3
    max_weight: float = 100.0


@register_algorithm("iql", IQLConfig)
def make_iql(spec: AnyTeamSpec, config: IQLConfig) -> Algorithm:
    """Assemble implicit Q-learning for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_iql(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'value']
    """
    build = NetworkBuilder(spec, config)
    actor, value, qvalue, mixer = build.actor(), build.value(), build.qvalue(), build.mixer()
    loss = IQLLoss(actor, qvalue, value, mixer, **config.loss_arguments(IQLLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer], "value": [value]})
