"""CQL for teams, MA-CQL and CFCQL (arXiv:2006.04779, arXiv:2309.12696)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import behaviour_model
from omiga_torchrl.modules.greedy import greedy_policy
from omiga_torchrl.objectives.cql import CQLLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("cql")
def make_cql(
    spec: TeamSpec,
    *,
    behaviour_hidden: Sequence[int] = (256, 256),
    share_sharpness: float = 0.0,
    **arguments: Any,
) -> Algorithm:
    """Assemble CQL for a task; for discrete actions the policy is greedy in the critics.

    Args:
        spec: sizes of the task.

    Keyword Args:
        behaviour_hidden: hidden layers of the behaviour model, if there is one.
        share_sharpness: of CFCQL's shares; not 0 adds a model of the behaviour policy.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.cql.CQLLoss`; ``critics``, the smallest of which counts in
            targets and for the policy, default 2; ``mixer``, default ``"auto"``.

    Examples:
        >>> sorted(make_cql(TeamSpec(3, 5, 2, 7), share_sharpness=0.5).parameter_groups)
        ['actor', 'behaviour', 'qvalue']
        >>> sorted(make_cql(TeamSpec(3, 5, 4, 7, discrete=True)).parameter_groups)
        ['qvalue']
    """
    parts = TeamParts(spec, arguments)
    actor = None if spec.discrete else parts.actor()
    qvalue, mixing = parts.qvalue(), parts.mixer()
    behaviour = None
    if share_sharpness:
        behaviour = behaviour_model(spec, **{**parts.network, "hidden_sizes": tuple(behaviour_hidden)})
    loss = CQLLoss(
        actor,
        qvalue,
        mixing,
        behaviour_network=behaviour,
        share_sharpness=share_sharpness,
        masked=spec.masked,
        low=spec.action_low,
        high=spec.action_high,
        **parts.rest,
    )
    groups = {"qvalue": [qvalue, mixing]}
    groups |= {} if actor is None else {"actor": [actor]}
    groups |= {} if behaviour is None else {"behaviour": [behaviour]}
    policy = greedy_policy(qvalue, masked=spec.masked) if actor is None else actor
    return parts.algorithm(policy, loss, groups)
