"""What every algorithm's assembly gives back, and the parts that several share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.errors import require_count
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.builders import MixerName as MixerName
from omiga_torchrl.modules.builders import make_mixer as make_mixer
from omiga_torchrl.modules.builders import qvalue_ensemble as qvalue_ensemble
from omiga_torchrl.modules.builders import qvalue_network as qvalue_network
from omiga_torchrl.modules.builders import value_network as value_network
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


def network_arguments(
    hidden: Sequence[int], share_parameters: bool, recurrent: int | None = None
) -> dict[str, Any]:
    """The arguments that all agent networks of an algorithm have in common."""
    return {
        "hidden_sizes": tuple(hidden),
        "share_params": share_parameters,
        "rnn_hidden_size": recurrent,
    }


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
