"""BRAC-p for teams (BRAC: arXiv:1911.11361)."""

from __future__ import annotations

from typing import Any, Literal, get_args

from omiga_torchrl.algorithms.common import (
    Algorithm,
    MixerName,
    make_mixer,
    parameters,
    qvalue_ensemble,
    split_arguments,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.modules import behaviour_model, make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.brac import BRACLoss
from omiga_torchrl.specs import TeamSpec

BehaviourName = Literal["policy", "vae"]


@register_algorithm("brac_p")
def make_brac_p(
    spec: TeamSpec,
    *,
    mixer: MixerName = "auto",
    critics: int = 2,
    behaviour: BehaviourName = "policy",
    tau: float = 0.005,
    **arguments: Any,
) -> Algorithm:
    """Assemble BRAC-p for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        mixer: see :func:`omiga_torchrl.algorithms.common.make_mixer`.
        critics: number of critics, the smallest of which counts.
        behaviour: model of the behaviour policy: ``"policy"``, a network like the policy's own
            (published), or ``"vae"``, for continuous actions of several modes; its density is a bound.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.brac.BRACLoss`.

    Examples:
        >>> sorted(make_brac_p(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'behaviour', 'qvalue']
    """
    if behaviour not in get_args(BehaviourName):
        raise unknown_name("make_brac_p", "behaviour", behaviour, get_args(BehaviourName))
    network, mixer_hidden, rest = split_arguments(arguments)
    actor = make_actor(spec, **network)
    qvalue = qvalue_ensemble(spec, critics, **network)
    if behaviour == "vae":
        model = behaviour_model(spec, **network)
    else:
        model = make_actor(spec, name="behaviour", **network)
    mixing = make_mixer(spec, mixer, mixer_hidden)
    loss = BRACLoss(actor, qvalue, model, mixing, **rest)
    groups = {
        "actor": parameters(actor),
        "qvalue": parameters(qvalue, mixing),
        "behaviour": parameters(model),
    }
    if loss.target_divergence is not None:
        groups["alpha"] = [loss.log_alpha]
    return Algorithm(actor, loss, groups, ForeachSoftUpdate(loss, tau=tau))
