"""Values held to the annotations of a dataclass, and annotations in words for messages."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from omiga_torchrl.errors import told_together, unknown_name

Made = TypeVar("Made")
_WORDS: Final[Mapping[Any, str]] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null",
    Any: "any value",
}  # fmt: skip


def require_types(component: str, config: Any) -> None:
    """Raises unless every field of a dataclass's instance is of the type that it is annotated with.

    Whole numbers do for numbers, truth values do for neither, lists and tuples for each other. Annotations
    of kinds that are unknown here hold everything.

    Args:
        component: who takes the values, for the message.
        config: the instance.

    Raises:
        ValueError: names the field, the value and what is expected, of names the nearest; several mistakes
            are a list.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Options:
        ...     sizes: tuple[int, ...] | None = None
        >>> require_types("Options", Options([3, 4]))
        >>> require_types("Options", Options("34"))
        Traceback (most recent call last):
            ...
        ValueError: Options: sizes is '34'; expected a list (each a whole number) or null.
    """
    if found := _mistakes(component, type(config), vars(config)):
        raise ValueError(told_together(component, found))


def make_checked(component: str, kind: type[Made], arguments: Mapping[str, Any]) -> Made:
    """An instance of a dataclass, after all that is wrong with its arguments has been named at once.

    Args:
        component: who takes them, for the message.
        kind: the dataclass.
        arguments: values of its fields.

    Raises:
        ValueError: unknown names, with the nearest ones, values of other types, what the dataclass refuses.

    Examples:
        >>> from omiga_torchrl.evaluation import Protocol
        >>> make_checked("train", Protocol, {"episodes": 3}).episodes
        3
        >>> make_checked("train", Protocol, {"epsiodes": 3})
        Traceback (most recent call last):
            ...
        ValueError: train: unknown argument 'epsiodes'; did you mean 'episodes'? Choose from: ...
    """
    names = [field.name for field in fields(cast(Any, kind))]
    known = {name: value for name, value in arguments.items() if name in names}
    found = [str(unknown_name(component, "argument", name, names)) for name in arguments if name not in names]
    wrong = _mistakes(component, kind, known)
    try:
        made = None if wrong else kind(**known)
    except ValueError as error:
        raise ValueError(told_together(component, [*found, str(error)])) from error
    if made is None or found:
        raise ValueError(told_together(component, [*found, *wrong]))
    return made


def _mistakes(component: str, kind: Any, values: Mapping[str, Any]) -> list[str]:
    """Values of other types than their fields."""
    found = []
    for name, hint in _hints(kind).items():
        if name not in values or conforms(value := values[name], hint):
            continue
        names, only_names = _names(hint)
        near = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
        if isinstance(value, str) and only_names:
            found.append(str(unknown_name(component, name, value, names)))
        elif near:
            told = f"did you mean {near[0]!r}? Expected {told_type(hint)}"
            found.append(f"{component}: {name} is {value!r}; {told}.")
        else:
            fix = f" Write [{value}]." if conforms([value], hint) else ""
            found.append(f"{component}: {name} is {value!r}; expected {told_type(hint)}.{fix}")
    return found


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    try:
        hints = get_type_hints(kind)
    except NameError:  # of a name that is only there for type checkers
        return {}
    return {field.name: hints[field.name] for field in fields(kind)}


def _names(hint: Any) -> tuple[list[str], bool]:
    """The names that may be chosen, and whether an annotation leaves nothing else but null."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    literals = [part for part in parts if get_origin(part) is Literal]
    others = [part for part in parts if get_origin(part) is not Literal and part is not type(None)]
    return [str(name) for part in literals for name in get_args(part)], bool(literals) and not others


def conforms(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says.

    Examples:
        >>> conforms(3, float), conforms(True, int), conforms("a", Literal["a", "b"]), conforms(None, int)
        (True, False, True, False)
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(conforms(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if hint in (int, float):
        return isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
    if hint is not Any and hint in _WORDS:
        return isinstance(value, hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(conforms(one, parts[1]) for one in value.values())
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return isinstance(value, list | tuple) and all(conforms(one, parts[0]) for one in value)
    if isinstance(hint, type) and hint is not Any and not getattr(hint, "_is_protocol", False):
        return isinstance(value, hint)
    return True


def told_type(hint: Any) -> str:
    """An annotation in words.

    Examples:
        >>> told_type(float | Literal["auto"] | None)
        "a number, 'auto' or null"
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        words = list(dict.fromkeys(map(told_type, parts)))
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if origin is Literal:
        return ", ".join(map(repr, parts)) if len(parts) == 1 else f"one of {', '.join(map(repr, parts))}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping (each {told_type(parts[1])})"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"a list (each {told_type(parts[0])})"
    return _WORDS.get(hint, str(getattr(hint, "__name__", hint)))
