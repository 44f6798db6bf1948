"""AWR for teams: advantage-weighted regression (arXiv:1910.00177)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("awr", sequences=True)
def make_awr(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble AWR for a task; its loss takes sequences ``[*B, T]``.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.awr.AWRLoss`; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_awr(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'value']
    """
    parts = TeamParts(spec, arguments)
    actor, value, mixing = parts.actor(), parts.value(), parts.mixer()
    loss = AWRLoss(actor, value, mixing, **parts.rest)
    return parts.algorithm(actor, loss, {"actor": [actor], "value": [value, mixing]})
