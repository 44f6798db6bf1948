"""AWR for teams: advantage-weighted regression (arXiv:1910.00177)."""

from __future__ import annotations

from typing import Any

from omiga_torchrl.algorithms.common import (
    Algorithm,
    MixerName,
    make_mixer,
    parameters,
    split_arguments,
    value_network,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.awr import AWRLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("awr", sequences=True)
def make_awr(spec: TeamSpec, *, mixer: MixerName = "auto", tau: float = 0.005, **arguments: Any) -> Algorithm:
    """Assemble AWR for a task; its loss takes sequences ``[*B, T]``.

    Args:
        spec: sizes of the task.

    Keyword Args:
        mixer: see :func:`omiga_torchrl.algorithms.common.make_mixer`.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.awr.AWRLoss`.

    Examples:
        >>> sorted(make_awr(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'value']
    """
    network, mixer_hidden, rest = split_arguments(arguments)
    actor, value = make_actor(spec, **network), value_network(spec, **network)
    mixing = make_mixer(spec, mixer, mixer_hidden)
    loss = AWRLoss(actor, value, mixing, **rest)
    groups = {"actor": parameters(actor), "value": parameters(value, mixing)}
    return Algorithm(actor, loss, groups, ForeachSoftUpdate(loss, tau=tau))
