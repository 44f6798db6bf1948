"""AWAC for teams (arXiv:2006.09359)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.objectives.awac import AWACLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("awac")
def make_awac(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble AWAC for a task.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.awac.AWACLoss`; ``critics``, the smallest of which makes
            targets and advantages, default 2; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_awac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    parts = TeamParts(spec, arguments)
    actor, qvalue, mixing = parts.actor(), parts.qvalue(), parts.mixer()
    loss = AWACLoss(actor, qvalue, mixing, **parts.rest)
    return parts.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixing]})
