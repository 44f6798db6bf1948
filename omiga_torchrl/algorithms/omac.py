"""OMAC (AAMAS 2023), a reconstruction: see :class:`omiga_torchrl.objectives.omac.OMACLoss`."""

from __future__ import annotations

from typing import Any

from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import MLP

from omiga_torchrl import keys
from omiga_torchrl.algorithms.common import Algorithm, TeamParts
from omiga_torchrl.algorithms.registry import register_algorithm
from omiga_torchrl.modules.coupled_mixer import CoupledCredit, CreditWeights
from omiga_torchrl.objectives.omac import OMACLoss
from omiga_torchrl.specs import TeamSpec


@register_algorithm("omac")
def make_omac(spec: TeamSpec, *, ratio: float = 2.0, **arguments: Any) -> Algorithm:
    """Assemble OMAC for a task.

    Args:
        spec: sizes of the task.

    Keyword Args:
        ratio: largest factor between an agent's credit in Q_tot and in V_tot, at least 1.
        **arguments: of :class:`omiga_torchrl.algorithms.common.TeamParts` and
            :class:`omiga_torchrl.objectives.omac.OMACLoss`; ``critics``, local ones, the smallest of which
            counts, default 2.

    Examples:
        >>> sorted(make_omac(TeamSpec(3, 5, 2, 7)).parameter_groups)
        ['actor', 'qvalue', 'shared_value', 'value']
    """
    parts = TeamParts(spec, arguments)
    actor, qvalue, value, hidden = parts.actor(), parts.qvalue(), parts.value(), parts.mixer_hidden
    shared = TensorDictModule(
        MLP(spec.state_size, 1, num_cells=list(hidden), activation_class=nn.ReLU),
        in_keys=[keys.STATE],
        out_keys=[keys.MIXER_BIAS],
    )
    credit = TensorDictModule(
        CreditWeights(spec, hidden_sizes=hidden), in_keys=[keys.STATE], out_keys=[keys.MIXER_WEIGHT]
    )
    coupled = TensorDictModule(
        CoupledCredit(spec, hidden_sizes=hidden, ratio=ratio),
        in_keys=[keys.STATE, keys.ACTION, keys.MIXER_WEIGHT, keys.MIXER_BIAS],
        out_keys=[(keys.GROUP, "qvalue_weight"), "shared_qvalue"],
    )
    loss = OMACLoss(actor, qvalue, value, shared, credit, coupled, **parts.rest)
    critics = {"qvalue": [qvalue, credit, coupled], "value": [value], "shared_value": [shared]}
    return parts.algorithm(actor, loss, {"actor": [actor], **critics})
