"""CQL for teams, MA-CQL and CFCQL (arXiv:2006.04779, arXiv:2309.12696)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omiga_torchrl.algorithms.common import (
    Algorithm,
    MixerName,
    make_mixer,
    parameters,
    qvalue_ensemble,
    split_arguments,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import behaviour_model, make_actor
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("cql")
def make_cql(
    spec: TeamSpec,
    *,
    mixer: MixerName = "auto",
    critics: int = 2,
    behaviour_hidden: Sequence[int] = (256, 256),
    share_sharpness: float = 0.0,
    tau: float = 0.005,
    **arguments: Any,
) -> Algorithm:
    """Assemble CQL for a task; for discrete actions the policy is greedy in the critics.

    Args:
        spec: sizes of the task.

    Keyword Args:
        mixer: see :func:`omiga_torchrl.algorithms.common.make_mixer`.
        critics: number of critics, the smallest of which counts in targets and for the policy.
        behaviour_hidden: hidden layers of the behaviour model, if there is one.
        share_sharpness: of CFCQL's shares; not 0 adds a model of the behaviour policy.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.cql.CQLLoss`.

    Examples:
        >>> sorted(make_cql(TeamSpec(3, 5, 2, 7), share_sharpness=0.5).parameter_groups)
        ['actor', 'behaviour', 'qvalue']
        >>> sorted(make_cql(TeamSpec(3, 5, 4, 7, discrete=True)).parameter_groups)
        ['qvalue']
    """
    network, mixer_hidden, rest = split_arguments(arguments)
    actor = None if spec.discrete else make_actor(spec, **network)
    qvalue = qvalue_ensemble(spec, critics, **network)
    mixing = make_mixer(spec, mixer, mixer_hidden)
    behaviour = None
    if share_sharpness:
        behaviour = behaviour_model(spec, **{**network, "hidden": tuple(behaviour_hidden)})
    loss = CQLLoss(
        actor,
        qvalue,
        mixing,
        behaviour_network=behaviour,
        share_sharpness=share_sharpness,
        masked=spec.masked,
        low=spec.action_low,
        high=spec.action_high,
        **rest,
    )
    groups = {"qvalue": parameters(qvalue, mixing)}
    groups |= {} if actor is None else {"actor": parameters(actor)}
    groups |= {} if behaviour is None else {"behaviour": parameters(behaviour)}
    policy = greedy_policy(qvalue, masked=spec.masked) if actor is None else actor
    return Algorithm(policy, loss, groups, ForeachSoftUpdate(loss, tau=tau))
