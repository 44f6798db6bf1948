"""Arguments of algorithms as frozen dataclasses: the one place of their names, defaults and sources."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args

from omiga_torchrl.errors import require_count, require_number, unknown_name
from omiga_torchrl.modules.builders import MixerName
from omiga_torchrl.modules.censored import PolicyDistribution
from omiga_torchrl.objectives.rewards import RewardOf
from omiga_torchrl.renames import rename_arguments
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.typed import make_checked, require_types

Config = TypeVar("Config", bound="AlgorithmConfig")


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """Arguments that every algorithm has.

    Attributes:
        hidden_sizes: hidden layers of all networks of agents. In a team of groups this, ``share_params`` and
            ``rnn_hidden_size`` may be mappings from the groups' names.
        share_params: one set of weights for all agents, which then read their agent id, or one set each.
        rnn_hidden_size: features of a GRU in front of each of these networks, which then need sequences
            ``[*B, T]``; None (default) has none.
        burn_in: first steps of a sequence that only fill the memories and have no terms.
        reduction: of the losses over the batch, ``"mean"``, ``"sum"`` or ``"none"``: see
            :class:`omiga_torchrl.objectives.TeamLoss`.
    """

    hidden_sizes: tuple[int, ...] | Mapping[str, tuple[int, ...]] = (256, 256)
    share_params: bool | Mapping[str, bool] = True
    rnn_hidden_size: int | Mapping[str, int | None] | None = None
    burn_in: int = 0
    reduction: str = "mean"

    def __post_init__(self) -> None:
        component = type(self).__name__
        for field in fields(self):
            if field.name.endswith("hidden_sizes"):
                object.__setattr__(self, field.name, _sizes(component, field.name, getattr(self, field.name)))
        require_types(component, self)
        memory = self.rnn_hidden_size
        for size in memory.values() if isinstance(memory, Mapping) else (memory,):
            if size is not None:
                require_count(component, 1, rnn_hidden_size=size)
        require_count(component, 0, burn_in=self.burn_in)

    @property
    def network_arguments(self) -> dict[str, Any]:
        """Arguments of the builders of networks of agents."""
        return {
            "hidden_sizes": self.hidden_sizes,
            "share_params": self.share_params,
            "rnn_hidden_size": self.rnn_hidden_size,
        }

    def loss_arguments(self, loss: type) -> dict[str, Any]:
        """The arguments that a loss takes by name: of its ``__init__`` and those of its base class.

        Args:
            loss: the loss class.

        Examples:
            >>> from omiga_torchrl.objectives import MultiAgentBCLoss
            >>> AlgorithmConfig(burn_in=2).loss_arguments(MultiAgentBCLoss)
            {'burn_in': 2, 'reduction': 'mean'}
        """
        taken = {name for base in loss.__mro__ for name in _parameters(base)}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in taken}


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig(AlgorithmConfig):
    """Argument of algorithms whose policy is fitted by its likelihood of the data's actions.

    Attributes:
        distribution: of continuous actions: ``"tanh"``, a tanh-Gaussian; ``"censored"``, a Gaussian clipped
            to the bounds; ``"auto"``, censored if more than a hundredth of the data's actions are exactly on
            a bound (``TeamSpec.clipped``), else tanh. With ``variant="official"`` it is tanh, whose density
            keeps the published margin of 1e-7 from the bounds.
    """

    distribution: PolicyDistribution = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribution not in get_args(PolicyDistribution):
            choices = get_args(PolicyDistribution)
            raise unknown_name(type(self).__name__, "distribution", self.distribution, choices)


def policy_distribution(config: AlgorithmConfig, groups: Iterable[TeamSpec]) -> PolicyDistribution:
    """The distribution of the continuous actions of all groups, which losses see as one tensor.

    Args:
        config: arguments of the algorithm; without :class:`LikelihoodConfig` it is ``"tanh"``, as losses that
            estimate integrals over actions (CQL, CFCQL) need densities.
        groups: sizes of the groups.

    Examples:
        >>> from omiga_torchrl.algorithms import BCConfig, CQLConfig, OMIGAConfig
        >>> clipped = [TeamSpec(3, 5, 2, 7, clipped=True)]
        >>> [policy_distribution(config, clipped) for config in (BCConfig(), CQLConfig())]
        ['censored', 'tanh']
        >>> policy_distribution(OMIGAConfig(variant="official"), clipped)
        'tanh'
    """
    if not isinstance(config, LikelihoodConfig):
        return "tanh"
    if config.distribution != "auto":
        return config.distribution
    is_official = getattr(config, "variant", None) == "official"
    return "tanh" if is_official or not any(group.clipped for group in groups) else "censored"


@dataclass(frozen=True, kw_only=True)
class CriticConfig(AlgorithmConfig):
    """Arguments of algorithms with values of the team, besides those of :class:`AlgorithmConfig`.

    Attributes:
        mixer: ``"linear"`` (OMIGA's: weights and bias of the state), ``"vdn"`` (their sum), ``"qmix"``
            (monotonic), ``"none"`` (independent critics), or ``"auto"`` (linear; none for one agent, or for
            rewards of agents).
        reward_of: whose rewards values learn: ``"team"``, or without a mixer ``"agent"`` (each agent's own)
            or ``"group"`` (the mean of its group).
        mixer_hidden_sizes: hidden layers of the linear mixer.
        num_qvalue_nets: critics of every agent; the smallest value counts. None: 2 for continuous actions, 1
            for discrete ones.
        gamma: discount in [0, 1].
        tau: rate of the soft target update per gradient step, in (0, 1].
        target_update_interval: copy the targets every so many gradient steps instead; None updates softly.
        value_scale: None, or ``"svn"``: see :class:`omiga_torchrl.objectives.TeamLoss`.
    """

    mixer: MixerName = "auto"
    reward_of: RewardOf = "team"
    mixer_hidden_sizes: tuple[int, ...] = (64,)
    num_qvalue_nets: int | None = 2
    gamma: float = 0.99
    tau: float = 0.005
    target_update_interval: int | None = None
    value_scale: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        component = type(self).__name__
        if self.num_qvalue_nets is not None:
            require_count(component, 1, num_qvalue_nets=self.num_qvalue_nets)
        require_number(component, "> 0", tau=self.tau)
        require_number(component, "in [0, 1]", tau=self.tau)
        if self.target_update_interval is not None:
            require_count(component, 1, target_update_interval=self.target_update_interval)


def make_config(name: str, config: type[Config], arguments: dict[str, Any]) -> Config:
    """An algorithm's config from keyword arguments, with errors that name the algorithm.

    Args:
        name: the algorithm.
        config: its dataclass.
        arguments: keyword arguments; names of former versions warn and are translated.

    Raises:
        ValueError: an unknown argument, with its nearest name, or a value out of its range.

    Examples:
        >>> make_config("bc", AlgorithmConfig, {"hiden_sizes": [8]})
        Traceback (most recent call last):
            ...
        ValueError: bc: unknown argument 'hiden_sizes'; did you mean 'hidden_sizes'? Choose from: ...
    """
    return make_checked(name, config, rename_arguments(name, arguments))


def signature_of(config: type[AlgorithmConfig]) -> list[inspect.Parameter]:
    """The fields of a config as keyword-only parameters, for the signature of the function that takes them.

    Args:
        config: the dataclass.
    """
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)
        for field in fields(config)
    ]


def _parameters(cls: type) -> list[str]:
    init = vars(cls).get("__init__")
    return [] if init is None else list(inspect.signature(init).parameters)


def _sizes(component: str, name: str, value: Any) -> Any:
    """Layer sizes as a tuple, or for each group."""
    if isinstance(value, Mapping):
        return {group: _sizes(component, f"{name}[{group!r}]", sizes) for group, sizes in value.items()}
    try:
        sizes = tuple(value)
    except TypeError:
        raise ValueError(
            f"{component}: {name} must be a list of layer sizes, got {value!r}. Write [{value}]."
        ) from None
    for size in sizes:
        require_count(component, 1, **{name: size})
    return sizes
