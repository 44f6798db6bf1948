"""The algorithms by name: a file of this package registers its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from omiga_torchrl.algorithms.common import Algorithm
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.specs import TeamSpec

Actions = Literal["continuous", "discrete"]
Factory = TypeVar("Factory", bound=Callable[..., Algorithm])


@dataclass(frozen=True)
class RegisteredAlgorithm:
    """What the library knows of an algorithm before it is assembled.

    Attributes:
        make: assembles it from the sizes of a task and its own arguments.
        actions: the kinds of actions that it is defined for.
        sequences: whether its loss takes sequences ``[*B, T]`` only.
    """

    make: Callable[..., Algorithm]
    actions: tuple[Actions, ...]
    sequences: bool


ALGORITHMS: dict[str, RegisteredAlgorithm] = {}


def register_algorithm(
    name: str, *, actions: tuple[Actions, ...] = ("continuous", "discrete"), sequences: bool = False
) -> Callable[[Factory], Factory]:
    """Enter a function that assembles an algorithm in :data:`ALGORITHMS`, as a decorator.

    Args:
        name: what ``make_algorithm`` and ``algorithm=...`` of the recipes know it by.

    Keyword Args:
        actions: the kinds of actions that it is defined for.
        sequences: whether its loss takes sequences ``[*B, T]`` only.

    Raises:
        ValueError: if another function has the name.

    Examples:
        >>> from omiga_torchrl.algorithms import make_algorithm, make_bc
        >>> @register_algorithm("cloning", actions=("continuous",))
        ... def make_cloning(spec, **kwargs):
        ...     return make_bc(spec, **kwargs)
        >>> make_algorithm("cloning", TeamSpec(3, 5, 2, 7), hidden=[8]).loss.out_keys
        ['loss_actor']
        >>> del ALGORITHMS["cloning"]
    """

    def enter(make: Factory) -> Factory:
        known = ALGORITHMS.get(name)
        if known is not None and known.make.__qualname__ != make.__qualname__:
            raise ValueError(
                f"register_algorithm: {name!r} is {known.make.__qualname__} already; got "
                f"{make.__qualname__}. Choose another name."
            )
        ALGORITHMS[name] = RegisteredAlgorithm(make, actions, sequences)
        return make

    return enter


def make_algorithm(name: str, spec: TeamSpec, **kwargs: Any) -> Algorithm:
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
    if name not in ALGORITHMS:
        raise unknown_name("make_algorithm", "algorithm", name, ALGORITHMS)
    kind: Actions = "discrete" if spec.discrete else "continuous"
    if kind not in ALGORITHMS[name].actions:
        fitting = sorted(other for other, known in ALGORITHMS.items() if kind in known.actions)
        raise ValueError(
            f"make_algorithm: {name!r} is defined for {' and '.join(ALGORITHMS[name].actions)} actions; "
            f"got a task with {kind} ones. Choose from: {', '.join(fitting)}."
        )
    return ALGORITHMS[name].make(spec, **kwargs)
