"""TD3+BC for teams (TD3+BC: NeurIPS 2021, arXiv:2106.06860)."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives.td3_bc import TD3BCLoss


@dataclass(frozen=True, kw_only=True)
class TD3BCConfig(CriticConfig):
    """Arguments of TD3+BC, besides those of :class:`CriticConfig`.

    Attributes:
        alpha: weight of the critic against the data, >= 0, without unit: it multiplies values divided by
            their mean size. 0 is behavior cloning; published 2.5.
        policy_noise: standard deviation of the target policy's noise, >= 0, in half action ranges; TD3's 0.2.
        noise_clip: bound of that noise, >= 0, in half action ranges; TD3's 0.5.
    """

    alpha: float = 2.5
    policy_noise: float = 0.2
    noise_clip: float = 0.5


@register_algorithm("td3_bc", TD3BCConfig, actions=("continuous",))
def make_td3_bc(spec: AnyTeamSpec, config: TD3BCConfig) -> Algorithm:
    """Assemble TD3+BC for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_td3_bc(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    build = NetworkBuilder(spec, config)
    actor, qvalue, mixer = (
        build.network(lambda group: deterministic_actor(group, **build.arguments(group))),
        build.qvalue(),
        build.mixer(),
    )
    loss = TD3BCLoss(actor, qvalue, mixer, **config.loss_arguments(TD3BCLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer]})
