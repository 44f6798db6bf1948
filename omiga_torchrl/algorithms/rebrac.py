"""ReBRAC for teams (ReBRAC: NeurIPS 2023, arXiv:2305.09836)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import require_count
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives.rebrac import ReBRACLoss


@dataclass(frozen=True, kw_only=True)
class ReBRACConfig(CriticConfig):
    """Arguments of ReBRAC, besides those of :class:`CriticConfig`.

    Attributes:
        hidden_sizes: hidden layers; published (256, 256, 256).
        layer_norm: layer normalization in the critics, as published.
        actor_bc_coeff: weight of cloning in the policy's loss, >= 0, without unit. Published 0.001 to 0.1.
        critic_bc_coeff: weight of the distance from the data's next action in the target, >= 0, in units
            of return. Published 0 to 0.5.
        policy_noise: standard deviation of the target policy's noise, >= 0, in half action ranges.
        noise_clip: bound of that noise, >= 0, in half action ranges.
        policy_delay: gradient steps of the critic for one of policy and targets, >= 1. Published 2.
    """

    hidden_sizes: tuple[int, ...] = (256, 256, 256)
    layer_norm: bool = True
    actor_bc_coeff: float = 0.1
    critic_bc_coeff: float = 0.01
    policy_noise: float = 0.2
    noise_clip: float = 0.5
    policy_delay: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("ReBRACConfig", 1, policy_delay=self.policy_delay)


@register_algorithm("rebrac", ReBRACConfig, actions=("continuous",), sequences=True)
def make_rebrac(spec: AnyTeamSpec, config: ReBRACConfig) -> Algorithm:
    """Assemble ReBRAC for a task; its loss takes sequences ``[*B, T]``.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_rebrac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    build = NetworkBuilder(spec, config)
    actor = build.network(lambda group: deterministic_actor(group, **build.arguments(group)))
    qvalue, mixer = build.qvalue(layer_norm=config.layer_norm), build.mixer()
    loss = ReBRACLoss(actor, qvalue, mixer, **config.loss_arguments(ReBRACLoss))
    algorithm = build.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixer]})
    return replace(algorithm, update_intervals={"actor": config.policy_delay, "targets": config.policy_delay})
