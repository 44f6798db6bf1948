"""The algorithms by name: a file of this package registers its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal

from omiga_torchrl.algorithms.common import Algorithm
from omiga_torchrl.algorithms.config import AlgorithmConfig, Config, make_config, signature_of
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.groups import AnyTeamSpec
from omiga_torchrl.modules.builders import MixerName
from omiga_torchrl.plugins import load_plugins
from omiga_torchrl.specs import TeamSpec

Actions = Literal["continuous", "discrete"]


@dataclass(frozen=True)
class RegisteredAlgorithm(Generic[Config]):
    """An algorithm's entry in the registry, before it is assembled.

    Attributes:
        name: what ``make_algorithm`` and ``algorithm=...`` of the recipes know it by.
        assemble: makes it from the sizes of a task and its config.
        config: dataclass of its arguments.
        actions: the kinds of actions that it is defined for.
        mixers: the mixers that it is defined for in a team, besides ``"auto"``.
        sequences: True if its loss takes sequences ``[*B, T]`` only.
        why: why other mixers or actions are left out, for the error message.
    """

    name: str
    assemble: Callable[[AnyTeamSpec, Config], Algorithm]
    config: type[Config]
    actions: tuple[Actions, ...]
    mixers: tuple[MixerName, ...]
    sequences: bool
    why: str = ""

    def make(self, spec: AnyTeamSpec, **arguments: Any) -> Algorithm:
        """Assemble the algorithm for a task, after checking that it is defined for it.

        Args:
            spec: sizes of the task.
            **arguments: fields of :attr:`config`.

        Raises:
            ValueError: it is not, or an argument is not one of its own or out of its range.
        """
        kinds = {name: group.kind for name, group in spec.groups.items()}
        for group, kind in kinds.items():
            if kind not in self.actions:
                fitting = sorted(
                    other for other, known in ALGORITHMS.items() if set(kinds.values()) <= set(known.actions)
                )
                of_group = "" if isinstance(spec, TeamSpec) else f" of the group {group!r}"
                raise ValueError(
                    f"make_algorithm: {self.name!r} is defined for {' and '.join(self.actions)} actions; "
                    f"got a task with {kind} ones{of_group}. Choose from: {', '.join(fitting)}."
                )
        config = make_config(self.name, self.config, arguments)
        mixer = getattr(config, "mixer", "auto")
        if spec.n_agents > 1 and mixer != "auto" and mixer not in self.mixers:
            raise ValueError(
                f"{self.name}: mixer must be one of {', '.join(self.mixers)} for a team, got {mixer!r}. "
                f"{self.why or 'Choose one of them.'}"
            )
        return self.assemble(spec, config)


class AlgorithmRegistry(MutableMapping[str, RegisteredAlgorithm[Any]]):
    """Name to algorithm, those of installed plugins included.

    Attributes:
        registered: the algorithms registered so far, without looking for plugins.
    """

    def __init__(self) -> None:
        self.registered: dict[str, RegisteredAlgorithm[Any]] = {}

    def __getitem__(self, name: str) -> RegisteredAlgorithm[Any]:
        load_plugins("omiga_torchrl.algorithms")
        return self.registered[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins("omiga_torchrl.algorithms")
        return iter(self.registered)

    def __len__(self) -> int:
        load_plugins("omiga_torchrl.algorithms")
        return len(self.registered)

    def __setitem__(self, name: str, algorithm: RegisteredAlgorithm[Any]) -> None:
        self.registered[name] = algorithm

    def __delitem__(self, name: str) -> None:
        del self.registered[name]


ALGORITHMS = AlgorithmRegistry()


def register_algorithm(
    name: str,
    config: type[Config],
    *,
    actions: tuple[Actions, ...] = ("continuous", "discrete"),
    mixers: tuple[MixerName, ...] = ("linear", "vdn", "qmix", "none"),
    sequences: bool = False,
    why: str = "",
) -> Callable[[Callable[[AnyTeamSpec, Config], Algorithm]], Callable[..., Algorithm]]:
    """Enter a function that assembles an algorithm in :data:`ALGORITHMS`, as a decorator.

    The decorated function takes the sizes of a task and the config's fields as keyword arguments, which
    its signature and ``help`` show.

    Args:
        name: what ``make_algorithm`` and ``algorithm=...`` of the recipes know it by.
        config: dataclass of its arguments.

    Keyword Args:
        actions: the kinds of actions that it is defined for.
        mixers: the mixers that it is defined for in a team, besides ``"auto"``.
        sequences: True if its loss takes sequences ``[*B, T]`` only.
        why: why other mixers are left out, for the error message.

    Raises:
        ValueError: if another function has the name.

    Examples:
        >>> from omiga_torchrl.algorithms import NetworkBuilder, make_algorithm
        >>> from omiga_torchrl.objectives import MultiAgentBCLoss
        >>> @register_algorithm("cloning", AlgorithmConfig, actions=("continuous",))
        ... def make_cloning(spec, config):
        ...     actor = NetworkBuilder(spec, config).actor()
        ...     return Algorithm(actor, MultiAgentBCLoss(actor), {"actor": list(actor.parameters())})
        >>> make_algorithm("cloning", TeamSpec(3, 5, 2, 7), hidden_sizes=[8]).loss.out_keys
        ['loss_actor']
        >>> del ALGORITHMS["cloning"]
    """

    def enter(assemble: Callable[[AnyTeamSpec, Config], Algorithm]) -> Callable[..., Algorithm]:
        known = ALGORITHMS.registered.get(name)  # plugins wait until all of the library's own are there
        if known is not None and known.assemble.__qualname__ != assemble.__qualname__:
            raise ValueError(
                f"register_algorithm: {name!r} is {known.assemble.__qualname__} already; got "
                f"{assemble.__qualname__}. Choose another name."
            )
        registered = RegisteredAlgorithm(name, assemble, config, actions, mixers, sequences, why)
        ALGORITHMS[name] = registered

        def make(spec: AnyTeamSpec, **arguments: Any) -> Algorithm:
            return registered.make(spec, **arguments)

        return _documented(make, assemble, config)

    return enter


def _documented(
    make: Callable[..., Algorithm], assemble: Callable[..., Algorithm], config: type[AlgorithmConfig]
) -> Callable[..., Algorithm]:
    """``make`` with the name of ``assemble``, and the signature and documentation of ``config``."""
    make.__module__, make.__name__, make.__qualname__ = (
        assemble.__module__,
        assemble.__name__,
        assemble.__name__,
    )
    bases = [base for base in reversed(config.__mro__) if issubclass(base, AlgorithmConfig)]
    arguments = "\n\n".join(inspect.cleandoc(base.__doc__ or "") for base in bases)
    make.__doc__ = f"{inspect.cleandoc(assemble.__doc__ or '')}\n\n{arguments}"
    spec = inspect.Parameter("spec", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=AnyTeamSpec)
    signature = inspect.Signature([spec, *signature_of(config)], return_annotation=Algorithm)
    make.__signature__ = signature  # type: ignore[attr-defined]
    return make


def default_arguments(name: str) -> dict[str, Any]:
    """An algorithm's arguments with their defaults, as plain values for configuration files.

    Args:
        name: a key of :data:`ALGORITHMS`.

    Examples:
        >>> from omiga_torchrl.algorithms import make_bc
        >>> default_arguments("bc")["hidden_sizes"]
        [256, 256]
    """
    defaults = {field.name: field.default for field in fields(find_algorithm(name).config)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def find_algorithm(name: str) -> RegisteredAlgorithm[Any]:
    """A registered algorithm.

    Args:
        name: its name.

    Raises:
        ValueError: there is none of this name; lists the nearest and all names.
    """
    if name not in ALGORITHMS:
        raise unknown_name("make_algorithm", "algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def make_algorithm(name: str, spec: AnyTeamSpec, **kwargs: Any) -> Algorithm:
    """Assemble the algorithm ``name`` for a task.

    Args:
        name: a key of :data:`ALGORITHMS`.
        spec: sizes of the task.
        **kwargs: the algorithm's own arguments.

    Raises:
        ValueError: if there is no such algorithm, or it is not defined for the task's actions.

    Examples:
        >>> make_algorithm("bc", TeamSpec(3, 5, 2, 7)).loss.out_keys
        ['loss_actor']
    """
    return find_algorithm(name).make(spec, **kwargs)
