"""What an algorithm's assembly gives back, and the builder of its networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import HardUpdate, LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_network, value_network
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
        update_intervals: gradient steps between two updates of a parameter group, and of the target networks
            as ``"targets"``; what is not named is updated at each step.
    """

    policy: TensorDictModuleBase
    loss: LossModule
    parameter_groups: dict[str, list[nn.Parameter]] = field(repr=False)
    target_updater: TargetNetUpdater | None = None
    update_intervals: dict[str, int] = field(default_factory=dict)


class NetworkBuilder:
    """The networks of an algorithm, as its config describes them, and the whole around its loss.

    Args:
        spec: sizes of the task.
        config: arguments of the algorithm.

    Examples:
        >>> build = NetworkBuilder(TeamSpec(3, 5, 2, 7), CriticConfig(hidden_sizes=(8,)))
        >>> build.qvalue().out_keys, build.mixer().in_keys
        ([('agents', 'local_qvalue')], ['state'])
    """

    def __init__(self, spec: TeamSpec, config: AlgorithmConfig) -> None:
        self.spec, self.config = spec, config

    def actor(self) -> ProbabilisticTensorDictSequential:
        """A stochastic policy."""
        return make_actor(self.spec, **self.config.network_arguments)

    def qvalue(self, *, wrap_single: bool = True) -> TensorDictModuleBase:
        """An ensemble of critics ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.

        Keyword Args:
            wrap_single: True if a single critic has an ensemble dimension, too.
        """
        number = self._critics.num_qvalue_nets
        if number is None:
            number = 1 if self.spec.discrete else 2
        members = number if number > 1 or wrap_single else None
        return qvalue_network(self.spec, ensemble_size=members, **self.config.network_arguments)

    def value(self) -> TensorDictModuleBase:
        """A network of local values ``[*B, N, 1]``."""
        return value_network(self.spec, **self.config.network_arguments)

    def mixer(self) -> TensorDictModule | None:
        """The config's mixer; None without one."""
        return make_mixer(self.spec, self._critics.mixer, self._critics.mixer_hidden_sizes)

    @property
    def _critics(self) -> CriticConfig:
        assert isinstance(self.config, CriticConfig)
        return self.config

    def algorithm(
        self,
        policy: TensorDictModuleBase,
        loss: LossModule,
        groups: Mapping[str, Sequence[nn.Module | nn.Parameter | None]],
    ) -> Algorithm:
        """The whole, with the config's target updates.

        Args:
            policy: acts in an environment.
            loss: the loss module.
            groups: the networks and single parameters that each term trains; None and groups without
                any parameter are left out.
        """
        trained = {name: _parameters(parts) for name, parts in groups.items()}
        trained = {name: group for name, group in trained.items() if group}
        return Algorithm(policy, loss, trained, self._target_updater(loss))

    def _target_updater(self, loss: LossModule) -> TargetNetUpdater:
        interval = self._critics.target_update_interval
        if interval is None:
            return ForeachSoftUpdate(loss, tau=self._critics.tau)
        # TorchRL's counter runs from 0 to the interval, so that its period is one longer.
        return HardUpdate(loss, value_network_update_interval=interval - 1)


def _parameters(parts: Sequence[nn.Module | nn.Parameter | None]) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for part in parts:
        if isinstance(part, nn.Module):
            found += part.parameters()
        elif part is not None:
            found.append(part)
    return found
