"""What every algorithm's assembly gives back, and the parts that several share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl import keys
from omiga_torchrl.modules import AgentMLP
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


def qvalue_network(spec: TeamSpec, **network: Any) -> TensorDictModule:
    """Q_i: observation and action to ``[*B, N, 1]``; discrete: observation to ``[*B, N, K]``."""
    size, out = spec.observation_size, spec.action_size
    if spec.discrete:
        body, in_keys = AgentMLP(size, out, spec.n_agents, **network), [keys.OBSERVATION]
    else:
        body = AgentMLP(size + out, 1, spec.n_agents, **network)
        in_keys = [keys.OBSERVATION, keys.ACTION]
    return TensorDictModule(body, in_keys=in_keys, out_keys=[keys.LOCAL_QVALUE])


def value_network(spec: TeamSpec, **network: Any) -> TensorDictModule:
    """V_i: observation to ``[*B, N, 1]``."""
    body = AgentMLP(spec.observation_size, 1, spec.n_agents, **network)
    return TensorDictModule(body, in_keys=[keys.OBSERVATION], out_keys=[keys.LOCAL_VALUE])


def network_arguments(hidden: Sequence[int], share_parameters: bool) -> dict[str, Any]:
    """The arguments that all agent networks of an algorithm have in common."""
    return {"hidden": tuple(hidden), "share_parameters": share_parameters}
