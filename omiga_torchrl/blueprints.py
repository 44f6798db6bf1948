"""Blueprints: which builder made a network and with which arguments, as plain values to build it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Final, TypeVar

import torch
from torch import nn

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.groups import GroupedTeamSpec
from omiga_torchrl.specs import TeamSpec

Blueprint = dict[str, Any]
"""``{"kind": "network", "builder": name, "arguments": {name: value}}``, of plain values and blueprints."""

Make = TypeVar("Make", bound=Callable[..., Any])

BUILDERS: Final[dict[str, Callable[..., nn.Module]]] = {}
"""Builders by name: the only code that a blueprint can call."""

_NAME: Final = "blueprint"
_ACTIVATIONS: Final = {
    name: kind
    for name, kind in vars(torch.nn.modules.activation).items()
    if isinstance(kind, type) and issubclass(kind, nn.Module)
}
_PLAIN: Final = (bool, int, float, str, type(None))


def rebuildable(make: Make) -> Make:
    """A decorator of functions and classes that make networks: what they make can be saved by its arguments.

    A policy file then holds the builder's name and these arguments. Arguments are plain values, sizes of
    teams, activations of ``torch.nn``, networks of other such builders, and mappings and lists of them.

    Args:
        make: the builder. Its module is imported before a file with its networks is loaded.

    Raises:
        ValueError: another builder has the name.

    Examples:
        >>> @rebuildable
        ... def make_layer(size: int, bias: bool = True) -> nn.Module:
        ...     return nn.Linear(size, size, bias=bias)
        >>> blueprint_of(make_layer(3))
        {'kind': 'network', 'builder': 'make_layer', 'arguments': {'size': 3, 'bias': True}}
        >>> build(blueprint_of(make_layer(3)))
        Linear(in_features=3, out_features=3, bias=True)
        >>> del BUILDERS["make_layer"]
    """
    name, signature = make.__qualname__, inspect.signature(make)
    known = BUILDERS.get(name)
    if known is not None and known.__module__ != make.__module__:
        raise ValueError(
            f"rebuildable: {name!r} is a builder of {known.__module__} already; got one of "
            f"{make.__module__}. Choose another name."
        )
    if isinstance(make, type):
        if not hasattr(make.__init__, "remembers"):  # type: ignore[misc]
            make.__init__ = remembering(make.__init__)  # type: ignore[misc]
        BUILDERS[name] = make
        return make

    @wraps(make)
    def call(*args: Any, **kwargs: Any) -> Any:
        module = make(*args, **kwargs)
        _remember(module, name, signature, args, kwargs)
        return module

    BUILDERS[name] = call
    return call  # type: ignore[return-value]


def remembering(init: Callable[..., None]) -> Callable[..., None]:
    """A decorator of ``__init__`` that remembers the arguments of a class with :func:`rebuildable`.

    Only needed below another decorator that takes other names of arguments; :func:`rebuildable` adds it
    elsewhere.

    Args:
        init: the ``__init__`` of a network.
    """

    @wraps(init)
    def call(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        kind: Any = type(self)
        known: Any = BUILDERS.get(kind.__qualname__)
        # A subclass makes something else, with arguments of its own.
        if known is kind and inspect.unwrap(kind.__init__) is inspect.unwrap(init):
            _remember(self, kind.__qualname__, inspect.signature(kind), args, kwargs)

    call.remembers = True  # type: ignore[attr-defined]
    return call


def blueprint_of(module: nn.Module) -> Blueprint:
    """How a network was made.

    Args:
        module: made by a builder with :func:`rebuildable`.

    Raises:
        TypeError: it was not, or with an argument that no file can hold; says which.
    """
    found = vars(module).get(_NAME, f"a {type(module).__name__} that no builder made")
    if isinstance(found, str):
        raise TypeError(
            f"blueprint_of: a network must be made by a builder with @rebuildable and of arguments that a "
            f"file can hold, got {found}. Decorate the function that makes it with "
            "omiga_torchrl.blueprints.rebuildable."
        )
    return dict(found)


def build(blueprint: Mapping[str, Any]) -> nn.Module:
    """A network as it was made, with fresh weights; only registered builders are called.

    Args:
        blueprint: of :func:`blueprint_of`.

    Raises:
        ValueError: an unknown builder, or no blueprint.
        TypeError: a builder does not take an argument.
    """
    module = _decoded(blueprint)
    if not isinstance(module, nn.Module):
        raise ValueError(f"build: a blueprint must be that of a network, got {blueprint!r:.80}.")
    return module


def _remember(
    module: nn.Module, name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    bound = signature.bind(*args, **kwargs)  # of a class, without self
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(parameter.name)
    try:
        plain = {key: _encoded(key, value) for key, value in arguments.items()}
    except TypeError as error:
        # Networks that are never saved may have any argument.
        vars(module)[_NAME] = f"one of {name} with {error}"
    else:
        vars(module)[_NAME] = {"kind": "network", "builder": name, "arguments": plain}


def _encoded(name: str, value: Any) -> Any:
    """An argument in plain values."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, nn.Module):
        found = vars(value).get(_NAME)
        if not isinstance(found, dict):
            raise TypeError(f"{name} = {found or f'a {type(value).__name__} that no builder made'}")
        return found
    if isinstance(value, TeamSpec):
        return {"kind": "team", "sizes": value.to_dict(), "group": value.group}
    if isinstance(value, GroupedTeamSpec):
        return {"kind": "team", "sizes": value.to_dict(), "group": None}
    if isinstance(value, type) and value in _ACTIVATIONS.values():
        return {"kind": "activation", "name": value.__name__}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        entries = {key: _encoded(f"{name}[{key!r}]", one) for key, one in value.items()}
        return {"kind": "entries", "of": entries}
    if isinstance(value, list | tuple):
        items = [_encoded(f"{name}[{number}]", one) for number, one in enumerate(value)]
        return items if isinstance(value, list) else {"kind": "tuple", "of": items}
    raise TypeError(f"{name} = {value!r:.60}")


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind")
    if kind == "network":
        if value["builder"] not in BUILDERS:
            raise unknown_name("build", "builder", value["builder"], BUILDERS)
        return BUILDERS[value["builder"]](**{k: _decoded(one) for k, one in value["arguments"].items()})
    if kind == "team":
        spec = TeamSpec.from_dict(value["sizes"])
        return replace(spec, group=value["group"]) if isinstance(spec, TeamSpec) else spec
    if kind == "activation":
        if value["name"] not in _ACTIVATIONS:
            raise unknown_name("build", "activation of torch.nn", value["name"], _ACTIVATIONS)
        return _ACTIVATIONS[value["name"]]
    if kind == "tuple":
        return tuple(_decoded(one) for one in value["of"])
    if kind == "entries":
        return {key: _decoded(one) for key, one in value["of"].items()}
    raise ValueError(f"build: a blueprint must be of a known kind, got {kind!r:.40}.")
