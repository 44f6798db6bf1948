"""ComaDICE (ICLR 2025, arXiv:2410.01954)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("comadice")
def make_comadice(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble ComaDICE for a task.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.comadice.ComaDICELoss`; ``critics``, the smallest of which
            counts, default 1 as published; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_comadice(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'normaliser', 'qvalue', 'value']
    """
    parts = TeamParts(spec, arguments)
    actor, qvalue, value, mixing = parts.actor(), parts.qvalue(1), parts.value(), parts.mixer()
    loss = ComaDICELoss(actor, qvalue, value, mixing, **parts.rest)
    made = parts.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixing], "value": [value]})
    made.parameter_groups["normaliser"] = [loss.normaliser]
    if loss.official:
        made.parameter_groups["value_normaliser"] = [loss.value_normaliser]
    return made
