"""What every algorithm's assembly gives back, and the parts that several share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl import keys
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.modules import LinearMixer, VDNMixer, agent_network
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


def parameters(*networks: nn.Module | None) -> list[nn.Parameter]:
    """The parameters of several networks in one list; None has none."""
    return [parameter for network in networks if network is not None for parameter in network.parameters()]


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


def split_arguments(
    arguments: dict[str, Any],
) -> tuple[dict[str, Any], Sequence[int], dict[str, Any]]:
    """The arguments of all agent networks, the mixer's hidden layers, and the rest, the loss's.

    Args:
        arguments: of an algorithm. Of the networks: ``hidden``, hidden layers, default (256, 256);
            ``share_parameters``, one set of weights for all agents (default) or one each;
            ``recurrent``, features of GRUs in front of the networks, default None;
            ``mixer_hidden``, hidden layers of the mixer, default (64,).

    Examples:
        >>> split_arguments({"hidden": [8], "gamma": 0.9})[2]
        {'gamma': 0.9}
    """
    rest = dict(arguments)
    network = network_arguments(
        rest.pop("hidden", (256, 256)), rest.pop("share_parameters", True), rest.pop("recurrent", None)
    )
    return network, rest.pop("mixer_hidden", (64,)), rest


def qvalue_ensemble(spec: TeamSpec, critics: int, **network: Any) -> TensorDictModuleBase:
    """Several Q_i: ``[*B, N, 1, E]`` of observation and action; discrete: ``[*B, N, K, E]``."""
    return qvalue_network(spec, members=critics, **network)


MixerName = Literal["auto", "linear", "vdn", "none"]


def make_mixer(spec: TeamSpec, name: MixerName, hidden: Sequence[int]) -> TensorDictModule | None:
    """The mixer of a team, as the losses take it.

    Args:
        spec: sizes of the task.
        name: ``"linear"`` (OMIGA's), ``"vdn"`` (weights one), ``"none"`` (independent critics), or
            ``"auto"``: linear for a team, none for one agent.
        hidden: hidden layers of the linear mixer.

    Raises:
        ValueError: unknown name, or a mixer of one agent.

    Examples:
        >>> make_mixer(TeamSpec(1, 5, 2, 5), "auto", (64,)) is None
        True
    """
    if name not in get_args(MixerName):
        raise unknown_name("make_mixer", "mixer", name, get_args(MixerName))
    if name == "none" or (name == "auto" and spec.n_agents == 1):
        return None
    if spec.n_agents == 1:
        raise ValueError(
            f"make_mixer: mixer={name!r} with one agent; expected at least two. Use mixer='auto' or 'none'."
        )
    if name == "vdn":
        return VDNMixer(spec.n_agents).as_weight_module()
    return LinearMixer(spec.n_agents, spec.state_size, hidden=hidden).as_weight_module()
