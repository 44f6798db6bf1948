"""An assembled algorithm, and the builder of its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tensordict.nn import ProbabilisticTensorDictSequential, TensorDictModule, TensorDictModuleBase
from torch import nn
from torchrl.objectives import HardUpdate, LossModule
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.algorithms.config import AlgorithmConfig, CriticConfig, policy_distribution
from omiga_torchrl.algorithms.group_networks import join_groups
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules import make_actor
from omiga_torchrl.modules.builders import make_mixer, qvalue_network, value_network
from omiga_torchrl.modules.group_policy import GroupPolicy
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.specs import Kind, TeamSpec


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

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """The arguments of a trainer that are the algorithm's.

        Examples:
            >>> from omiga_torchrl.algorithms import make_algorithm
            >>> from omiga_torchrl.specs import TeamSpec
            >>> list(make_algorithm("bc", TeamSpec(3, 5, 2, 7)).trainer_arguments)
            ['loss_module', 'parameter_groups', 'target_updater', 'update_intervals']
        """
        return {
            "loss_module": self.loss,
            "parameter_groups": self.parameter_groups,
            "target_updater": self.target_updater,
            "update_intervals": self.update_intervals,
        }


class NetworkBuilder:
    """The networks of an algorithm, as its config describes them, and the whole around its loss.

    In a team of groups every group has networks of its own; losses see them as those of one team.

    Args:
        spec: sizes of the task.
        config: arguments of the algorithm.

    Examples:
        >>> build = NetworkBuilder(TeamSpec(3, 5, 2, 7), CriticConfig(hidden_sizes=(8,)))
        >>> build.qvalue().out_keys, build.mixer().in_keys
        ([('agents', 'local_qvalue')], ['state'])
    """

    def __init__(self, spec: AnyTeamSpec, config: AlgorithmConfig) -> None:
        self.spec, self.config = spec, config
        self._of_groups: dict[nn.Module, dict[str, TensorDictModuleBase]] = {}

    def arguments(self, spec: TeamSpec, **changes: Any) -> dict[str, Any]:
        """Arguments of the builders of networks, for the agents of one group.

        Args:
            spec: the group.
            **changes: in place of the config's; as there, one for all or a mapping from the groups' names.

        Raises:
            ValueError: a mapping has no entry for the group.
        """
        arguments = {**self.config.network_arguments, **changes}
        return {name: _of_group(name, value, spec.group) for name, value in arguments.items()}

    def network(
        self, make: Callable[[TeamSpec], TensorDictModuleBase], *, kind: Kind | None = None
    ) -> TensorDictModuleBase:
        """A network of the team: what ``make`` gives for a plain team, or of groups one for each.

        Args:
            make: makes the network of agents with equal spaces, in the keys of a plain team.

        Keyword Args:
            kind: make it for groups of this kind of actions only; None for all.

        Examples:
            >>> from omiga_torchrl.modules import value_network
            >>> spec = TeamSpec.from_groups({"cars": TeamSpec(2, 6, 3, 20), "drones": TeamSpec(3, 9, 4, 20)})
            >>> values = NetworkBuilder(spec, CriticConfig()).network(value_network)
            >>> values(spec.gather(spec.fake_batch(8)))["agents", "local_value"].shape
            torch.Size([8, 5, 1])
        """
        if isinstance(self.spec, TeamSpec):
            return make(self.spec)
        made = {name: make(group) for name, group in self.spec.groups.items() if kind in (None, group.kind)}
        network = join_groups(self.spec, made)
        self._of_groups[network] = made
        return network

    def policy(
        self, make: Callable[..., TensorDictModuleBase], *networks: TensorDictModuleBase | None
    ) -> TensorDictModuleBase:
        """The policy that acts: ``make(spec, *networks)`` of a plain team, or one for each group.

        Args:
            make: makes the policy of agents with equal spaces from their networks.
            *networks: made by this builder; a group without one has None.
        """
        if isinstance(self.spec, TeamSpec):
            return make(self.spec, *networks)
        made = [self._of_groups[network] if network is not None else {} for network in networks]
        policies = {
            name: make(group, *(of_groups.get(name) for of_groups in made))
            for name, group in self.spec.groups.items()
        }
        return GroupPolicy(self.spec, policies)

    def actor(self, *, kind: Kind | None = None, **changes: Any) -> ProbabilisticTensorDictSequential:
        """A stochastic policy.

        Keyword Args:
            kind: of groups of this kind of actions only; None for all.
            **changes: arguments in place of the config's.
        """
        distribution = policy_distribution(self.config, self.spec.groups.values())

        def make(spec: TeamSpec) -> TensorDictModuleBase:
            return make_actor(spec, distribution=distribution, **self.arguments(spec, **changes))

        return cast(ProbabilisticTensorDictSequential, self.network(make, kind=kind))

    def qvalue(self, *, wrap_single: bool = True, **changes: Any) -> TensorDictModuleBase:
        """An ensemble of critics ``[*B, N, 1, E]``; discrete: ``[*B, N, K, E]``.

        Keyword Args:
            wrap_single: True if a single critic has an ensemble dimension, too.
            **changes: arguments in place of the config's.
        """
        number = self._critics.num_qvalue_nets
        if number is None:
            number = 1 if self.spec.kind == "discrete" else 2
        members = number if number > 1 or wrap_single else None
        arguments = {"ensemble_size": members, **changes}
        return self.network(lambda spec: qvalue_network(spec, **self.arguments(spec, **arguments)))

    def value(self) -> TensorDictModuleBase:
        """A network of local values ``[*B, N, 1]``."""
        return self.network(lambda spec: value_network(spec, **self.arguments(spec)))

    def mixer(self) -> TensorDictModule | None:
        """The config's mixer; None without one."""
        critics = self._critics
        name = "none" if critics.mixer == "auto" and critics.reward_of != "team" else critics.mixer
        return make_mixer(self.spec, name, critics.mixer_hidden_sizes)

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
            policy: acts in an environment; a network of :meth:`actor` acts as it is.
            loss: the loss module.
            groups: the networks and single parameters that each term trains; None and groups without
                any parameter are left out.
        """
        if policy in self._of_groups:
            policy = self.policy(lambda spec, actor: actor, policy)
        trained = {name: _parameters(parts) for name, parts in groups.items()}
        trained = {name: group for name, group in trained.items() if group}
        return Algorithm(policy, loss, trained, self._target_updater(loss))

    def _target_updater(self, loss: LossModule) -> TargetNetUpdater | None:
        if not isinstance(self.config, CriticConfig):
            return None
        interval = self._critics.target_update_interval
        if interval is None:
            return ForeachSoftUpdate(loss, tau=self._critics.tau)
        # TorchRL's counter runs from 0 to the interval, so that its period is one longer.
        return HardUpdate(loss, value_network_update_interval=interval - 1)


def _of_group(name: str, value: Any, group: str) -> Any:
    """A group's own value of an argument that may be given for each group."""
    if not isinstance(value, Mapping):
        return value
    if group not in value:
        raise ValueError(
            f"NetworkBuilder: {name} must have a value for every group, or one for all, got values for "
            f"{', '.join(value)} and none for {group!r}."
        )
    return value[group]


def _parameters(parts: Sequence[nn.Module | nn.Parameter | None]) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    for part in parts:
        if isinstance(part, nn.Module):
            found += part.parameters()
        elif part is not None:
            found.append(part)
    return found
