"""What every algorithm's assembly gives back, and the parts that several share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tensordict.nn import TensorDictModuleBase
from torch import nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl import keys
from omiga_torchrl.modules import agent_network
from omiga_torchrl.specs import TeamSpec


@dataclass(frozen=True)
class Algorithm:
    """A loss with everything that training and evaluation need around it.

    Attributes:
        policy: acts in an environment; shares its parameters with the loss.
        loss: the loss module.
        parameter_groups: the parameters of each term, disjoint; each group has its own
            gradient clipping.
        target_updater: to be stepped after each update, if the loss has targets.
    """

    policy: TensorDictModuleBase
    loss: LossModule
    parameter_groups: dict[str, list[nn.Parameter]] = field(repr=False)
    target_updater: TargetNetUpdater | None = None


def parameters(*networks: nn.Module) -> list[nn.Parameter]:
    """The parameters of several networks in one list."""
    return [parameter for network in networks for parameter in network.parameters()]


def qvalue_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    """Q_i: observation and action to ``[*B, N, 1]``; discrete: observation to ``[*B, N, K]``."""
    size = spec.action_size
    outputs, extra = (size, {}) if spec.discrete else (1, {keys.ACTION: size})
    return agent_network(spec, outputs, keys.LOCAL_QVALUE, extra=extra, name="qvalue", **network)


def value_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    """V_i: observation to ``[*B, N, 1]``."""
    return agent_network(spec, 1, keys.LOCAL_VALUE, name="value", **network)


def network_arguments(
    hidden: Sequence[int], share_parameters: bool, recurrent: int | None = None
) -> dict[str, Any]:
    """The arguments that all agent networks of an algorithm have in common."""
    return {"hidden": tuple(hidden), "share_parameters": share_parameters, "recurrent": recurrent}
