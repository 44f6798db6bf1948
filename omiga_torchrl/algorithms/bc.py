"""Behaviour cloning: policy, loss and parameter group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, network_arguments, parameters
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import make_actor
from omiga_torchrl.objectives import MultiAgentBCLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("bc")
def make_bc(
    spec: TeamSpec,
    *,
    hidden: Sequence[int] = (256, 256),
    share_parameters: bool = True,
    recurrent: int | None = None,
    **loss: Any,
) -> Algorithm:
    """Assemble behaviour cloning for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        hidden: hidden layers of the policy.
        share_parameters: one set of weights for all agents, or one each.
        recurrent: features of a GRU in front of the policy, which then needs sequences; None has none.
        **loss: passed to :class:`MultiAgentBCLoss`.

    Examples:
        >>> sorted(make_bc(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor']
    """
    policy = make_actor(spec, **network_arguments(hidden, share_parameters, recurrent))
    return Algorithm(policy, MultiAgentBCLoss(policy, **loss), {"actor": parameters(policy)})
