"""OMAR (ICML 2022, arXiv:2111.11188)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives.omar import OMARLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("omar", actions=("continuous",))
def make_omar(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble OMAR for a task.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.omar.OMARLoss`; ``critics``, the smallest of which makes the
            target, default 2; ``mixer``, default ``"none"`` as published.

    Examples:
        >>> sorted(make_omar(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    parts = TeamParts(spec, arguments)
    actor, qvalue, mixing = deterministic_actor(spec, **parts.network), parts.qvalue(), parts.mixer("none")
    loss = OMARLoss(actor, qvalue, mixing, low=spec.action_low, high=spec.action_high, **parts.rest)
    return parts.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixing]})
