"""ComaDICE (ICLR 2025, arXiv:2410.01954)."""

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
from omiga_torchrl.objectives.comadice import ComaDICELoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("comadice")
def make_comadice(
    spec: TeamSpec, *, mixer: MixerName = "auto", critics: int = 1, tau: float = 0.005, **arguments: Any
) -> Algorithm:
    """Assemble ComaDICE for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        mixer: see :func:`omiga_torchrl.algorithms.common.make_mixer`.
        critics: number of critics, the smallest of which counts; published: one.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.comadice.ComaDICELoss`.

    Examples:
        >>> sorted(make_comadice(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'normaliser', 'qvalue', 'value']
    """
    network, mixer_hidden, rest = split_arguments(arguments)
    actor = make_actor(spec, **network)
    qvalue, value = qvalue_ensemble(spec, critics, **network), value_network(spec, **network)
    mixing = make_mixer(spec, mixer, mixer_hidden)
    loss = ComaDICELoss(actor, qvalue, value, mixing, **rest)
    groups = {
        "actor": parameters(actor),
        "qvalue": parameters(qvalue, mixing),
        "value": parameters(value),
        "normaliser": [loss.normaliser],
    }
    if loss.official:
        groups["value_normaliser"] = [loss.value_normaliser]
    return Algorithm(actor, loss, groups, ForeachSoftUpdate(loss, tau=tau))
