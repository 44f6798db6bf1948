"""OMAC (AAMAS 2023), a reconstruction: see :class:`omiga_torchrl.objectives.omac.OMACLoss`."""

from __future__ import annotations

from typing import Any

from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import MLP

from omiga_torchrl import keys
from omiga_torchrl.algorithms.common import (
    Algorithm,
    parameters,
    qvalue_ensemble,
    split_arguments,
    value_network,
)
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("omac")
def make_omac(
    spec: TeamSpec, *, critics: int = 2, ratio: float = 2.0, tau: float = 0.005, **arguments: Any
) -> Algorithm:
    """Assemble OMAC for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        critics: number of local critics, the smallest of which counts.
        ratio: largest factor between an agent's credit in Q_tot and in V_tot, at least 1.
        tau: rate of the target update per training step, in (0, 1].
        **arguments: of the networks, see :func:`omiga_torchrl.algorithms.common.split_arguments`; the
            rest goes to :class:`omiga_torchrl.objectives.omac.OMACLoss`.

    Examples:
        >>> sorted(make_omac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'shared_value', 'value']
    """
    network, hidden, rest = split_arguments(arguments)
    actor = make_actor(spec, **network)
    qvalue = qvalue_ensemble(spec, critics, **network)
    value = value_network(spec, **network)
    shared = TensorDictModule(
        MLP(spec.state_size, 1, num_cells=list(hidden), activation_class=nn.ReLU),
        in_keys=[keys.STATE],
        out_keys=[keys.MIXER_BIAS],
    )
    credit = TensorDictModule(
        CreditWeights(spec, hidden=hidden), in_keys=[keys.STATE], out_keys=[keys.MIXER_WEIGHT]
    )
    coupled = TensorDictModule(
        CoupledCredit(spec, hidden=hidden, ratio=ratio),
        in_keys=[keys.STATE, keys.ACTION, keys.MIXER_WEIGHT, keys.MIXER_BIAS],
        out_keys=[(keys.GROUP, "qvalue_weight"), "shared_qvalue"],
    )
    loss = OMACLoss(actor, qvalue, value, shared, credit, coupled, **rest)
    groups = {
        "actor": parameters(actor),
        "qvalue": parameters(qvalue, credit, coupled),
        "value": parameters(value),
        "shared_value": parameters(shared),
    }
    return Algorithm(actor, loss, groups, ForeachSoftUpdate(loss, tau=tau))
