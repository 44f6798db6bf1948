"""What every algorithm's assembly gives back, and the parts that several share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl import keys
from omiga_torchrl.errors import require_count, unknown_name
from omiga_torchrl.modules import LinearMixer, VDNMixer, agent_network, make_actor
from omiga_torchrl.objectives import ForeachSoftUpdate
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


class TeamParts:
    """The parts of an algorithm with targets, made from its arguments one by one.

    Every method takes its own arguments; what is left, ``rest``, is the loss's, which refuses those that
    nobody knows.

    Args:
        spec: sizes of the task.
        arguments: of the algorithm. For all networks of agents ``hidden``, hidden layers, default (256,
            256); ``share_parameters``, one set of weights for all agents (default) or one each;
            ``recurrent``, features of GRUs in front of them, default None. ``mixer_hidden``, hidden layers
            of the mixer, default (64,). ``tau``, rate of the target update per training step, in (0, 1],
            default 0.005.

    Examples:
        >>> parts = TeamParts(TeamSpec(3, 5, 2, 7), {"hidden": [8], "critics": 3, "gamma": 0.9})
        >>> parts.qvalue().out_keys, parts.rest
        ([('agents', 'local_qvalue')], {'gamma': 0.9})
    """

    def __init__(self, spec: TeamSpec, arguments: dict[str, Any]) -> None:
        self.spec, self.rest = spec, dict(arguments)
        self.network = network_arguments(
            self._take("hidden", (256, 256)),
            self._take("share_parameters", True),
            self._take("recurrent", None),
        )
        self.mixer_hidden: Sequence[int] = self._take("mixer_hidden", (64,))
        self.tau: float = self._take("tau", 0.005)

    def _take(self, name: str, default: Any) -> Any:
        return self.rest.pop(name, default)

    def actor(self) -> ProbabilisticTensorDictSequential:
        """A stochastic policy."""
        return make_actor(self.spec, **self.network)

    def qvalue(self, critics: int = 2) -> TensorDictModuleBase:
        """An ensemble of as many critics as ``critics`` tells, by default the given number."""
        wanted = self._take("critics", None)
        critics = critics if wanted is None else wanted
        require_count("TeamParts", 1, critics=critics)
        return qvalue_ensemble(self.spec, critics, **self.network)

    def value(self) -> TensorDictModuleBase:
        """A network of local values."""
        return value_network(self.spec, **self.network)

    def mixer(self, name: MixerName = "auto") -> TensorDictModule | None:
        """The mixer that ``mixer`` names, see :func:`make_mixer`, by default the given one."""
        return make_mixer(self.spec, self._take("mixer", name), self.mixer_hidden)

    def algorithm(
        self, policy: TensorDictModuleBase, loss: LossModule, groups: Mapping[str, Sequence[nn.Module | None]]
    ) -> Algorithm:
        """The whole, with slow targets.

        Args:
            policy: acts in an environment.
            loss: the loss module.
            groups: the networks that each term trains; None stands for no network.
        """
        trained = {name: parameters(*networks) for name, networks in groups.items()}
        return Algorithm(policy, loss, trained, ForeachSoftUpdate(loss, tau=self.tau))
