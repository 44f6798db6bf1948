"""IQL for teams: implicit Q-learning (ICLR 2022, arXiv:2110.06169)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import (
    Algorithm,
    MixerName,
    make_mixer,
    parameters,
    qvalue_ensemble,
    split_arguments,
    value_network,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.iql import IQLLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("iql")
def make_iql(
    spec: TeamSpec, *, mixer: MixerName = "auto", critics: int = 2, tau: float = 0.005, **arguments: Any
) -> Algorithm:
    """Assemble implicit Q-learning for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        mixer: see :func:`omiga_torchrl.algorithms.common.make_mixer`.
        critics: number of critics, the smallest of which the values follow.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.iql.IQLLoss`.

    Examples:
        >>> sorted(make_iql(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'value']
    """
    network, mixer_hidden, rest = split_arguments(arguments)
    actor, value = make_actor(spec, **network), value_network(spec, **network)
    qvalue = qvalue_ensemble(spec, critics, **network)
    mixing = make_mixer(spec, mixer, mixer_hidden)
    loss = IQLLoss(actor, qvalue, value, mixing, **rest)
    groups = {
        "actor": parameters(actor),
        "qvalue": parameters(qvalue, mixing),
        "value": parameters(value),
    }
    return Algorithm(actor, loss, groups, ForeachSoftUpdate(loss, tau=tau))
