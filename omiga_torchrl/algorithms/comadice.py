"""ComaDICE (ICLR 2025, arXiv:2410.01954)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from omiga_torchrl.algorithms.common import Algorithm, NetworkBuilder
from omiga_torchrl.algorithms.config import CriticConfig, LikelihoodConfig
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.objectives.comadice import ComaDICELoss, Variant


@dataclass(frozen=True, kw_only=True)
class ComaDICEConfig(LikelihoodConfig, CriticConfig):
    """Arguments of ComaDICE, besides those of :class:`CriticConfig`.

    Attributes:
        num_qvalue_nets: critics of every agent: one, as published; of more the smallest value counts.
        alpha: divides advantages: price of divergence, > 0, in units of return; published 10, on raw rewards.
        variant: ``"paper"``, or ``"official"``: the released code.
        max_weight: largest weight of the policy's loss, > 0; None has no bound. Released: 2 of an agent's
            ratio for discrete actions.
    """

    num_qvalue_nets: int = 1
    alpha: float = 10.0
    variant: Variant = "paper"
    max_weight: float | None = None


@register_algorithm("comadice", ComaDICEConfig)
def make_comadice(spec: AnyTeamSpec, config: ComaDICEConfig) -> Algorithm:
    """Assemble ComaDICE for a task.

    Args:
        spec: sizes of the task.
        config: its arguments, as keywords.

    Examples:
        >>> from omiga_torchrl.specs import TeamSpec
        >>> sorted(make_comadice(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'lagrange_multiplier', 'qvalue', 'value']
    """
    build = NetworkBuilder(spec, config)
    actor, qvalue, value, mixer = build.actor(), build.qvalue(), build.value(), build.mixer()
    loss = ComaDICELoss(actor, qvalue, value, mixer, **config.loss_arguments(ComaDICELoss))
    groups: dict[str, list[nn.Module | nn.Parameter | None]] = {
        "actor": [actor],
        "qvalue": [qvalue, mixer],
        "value": [value],
        "lagrange_multiplier": [loss.lagrange_multiplier],
    }
    if config.variant == "official":
        groups["value_lagrange_multiplier"] = [loss.value_lagrange_multiplier]
    return build.algorithm(actor, loss, groups)
