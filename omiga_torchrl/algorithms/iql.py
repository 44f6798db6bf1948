"""IQL for teams: implicit Q-learning (ICLR 2022, arXiv:2110.06169)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("iql")
def make_iql(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble implicit Q-learning for a task.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.iql.IQLLoss`; ``critics``, the smallest of which the values
            follow, default 2; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_iql(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'value']
    """
    parts = TeamParts(spec, arguments)
    actor, value, qvalue, mixing = parts.actor(), parts.value(), parts.qvalue(), parts.mixer()
    loss = IQLLoss(actor, qvalue, value, mixing, **parts.rest)
    groups = {"actor": [actor], "qvalue": [qvalue, mixing], "value": [value]}
    return parts.algorithm(actor, loss, groups)
