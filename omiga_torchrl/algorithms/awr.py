"""AWR for teams: advantage-weighted regression (arXiv:1910.00177)."""

from __future__ import annotations

from dataclasses import dataclass

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives.awr import AWRLoss


@dataclass(frozen=True, kw_only=True)
class AWRConfig(LikelihoodConfig, CriticConfig):
    """Arguments of AWR, besides those of :class:`CriticConfig`.

    Attributes:
        num_qvalue_nets: its default, and nothing else: AWR has no Q network.
        temperature: of the policy's weights, > 0, in standard deviations of the advantage, or in units of
            return without ``normalize_advantage``; the paper's beta, there 0.05.
        max_weight: largest weight of the policy's loss, > 0; 20 in the released code.
        normalize_advantage: standardize advantages over the batch, as the released code.
        td_lambda: lambda of the returns, in [0, 1]; 0.95 as published.
    """

    temperature: float = 1.0
    max_weight: float = 20.0
    normalize_advantage: bool = True
    td_lambda: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_qvalue_nets != CriticConfig.num_qvalue_nets:
            raise ValueError(
                f"AWRConfig: num_qvalue_nets must be left out, got {self.num_qvalue_nets}. AWR has no Q "
                "network."
            )


@register_algorithm("awr", AWRConfig, sequences=True)
def make_awr(spec: AnyTeamSpec, config: AWRConfig) -> Algorithm:
    """Assemble AWR for a task; its loss takes sequences ``[*B, T]``.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_awr(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'value']
    """
    build = NetworkBuilder(spec, config)
    actor, value, mixer = build.actor(), build.value(), build.mixer()
    loss = AWRLoss(actor, value, mixer, **config.loss_arguments(AWRLoss))
    return build.algorithm(actor, loss, {"actor": [actor], "value": [value, mixer]})
