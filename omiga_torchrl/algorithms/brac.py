"""BRAC-p for teams (BRAC: arXiv:1911.11361)."""

from __future__ import annotations

from typing import Any, Literal, get_args

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.modules import behaviour_model, make_actor
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.specs import TeamSpec

BehaviourName = Literal["policy", "vae"]


@register_algorithm("brac_p")
def make_brac_p(spec: TeamSpec, *, behaviour: BehaviourName = "policy", **arguments: Any) -> Algorithm:
    """Assemble BRAC-p for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        behaviour: model of the behaviour policy: ``"policy"``, a network like the policy's own
            (published), or ``"vae"``, for continuous actions of several modes; its density is a bound.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.brac.BRACLoss`; ``critics``, the smallest of which counts,
            default 2; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_brac_p(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behaviour', 'qvalue']
    """
    if behaviour not in get_args(BehaviourName):
        raise unknown_name("make_brac_p", "behaviour", behaviour, get_args(BehaviourName))
    parts = TeamParts(spec, arguments)
    actor, qvalue = parts.actor(), parts.qvalue()
    if behaviour == "vae":
        model = behaviour_model(spec, **parts.network)
    else:
        model = make_actor(spec, name="behaviour", **parts.network)
    mixing = parts.mixer()
    loss = BRACLoss(actor, qvalue, model, mixing, **parts.rest)
    groups = {"actor": [actor], "qvalue": [qvalue, mixing], "behaviour": [model]}
    made = parts.algorithm(actor, loss, groups)
    if loss.target_divergence is not None:
        made.parameter_groups["alpha"] = [loss.log_alpha]
    return made
