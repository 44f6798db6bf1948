"""TD3+BC for teams (TD3+BC: NeurIPS 2021, arXiv:2106.06860)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import deterministic_actor
from omiga_torchrl.objectives.td3_bc import TD3BCLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("td3_bc", actions=("continuous",))
def make_td3_bc(spec: TeamSpec, **arguments: Any) -> Algorithm:
    """Assemble TD3+BC for a task.

    Args:
        spec: sizes of the task.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.td3_bc.TD3BCLoss`; ``critics``, the smallest of which makes the
            target, default 2; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_td3_bc(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue']
    """
    parts = TeamParts(spec, arguments)
    actor, qvalue, mixing = deterministic_actor(spec, **parts.network), parts.qvalue(), parts.mixer()
    loss = TD3BCLoss(actor, qvalue, mixing, low=spec.action_low, high=spec.action_high, **parts.rest)
    return parts.algorithm(actor, loss, {"actor": [actor], "qvalue": [qvalue, mixing]})
