"""One template for every error message: who, what, got, expected, likely fix."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Final

from tensordict import NestedKey, TensorDictBase
from torch import Tensor

_RANGES: Final[dict[str, Callable[[Any], bool]]] = {
    "> 0": lambda x: x > 0,
    ">= 0": lambda x: x >= 0,
    ">= 1": lambda x: x >= 1,
    "in [0, 1]": lambda x: 0 <= x <= 1,
    "in (0, 1)": lambda x: 0 < x < 1,
    "that is finite": lambda x: True,
}


_LISTED: Final = re.compile(r"\w+: \d+ settings are wrong:|\n  - ")


class DataError(ValueError):
    """A dataset, batch or environment is not what a component needs."""


class SettingsError(ValueError):
    """A user's settings cannot be right; the message says which, and the way there explains nothing."""


class StorageError(OSError):
    """A file or folder cannot be written: the disk is full, or it is not ours; nothing is half written."""

    def __str__(self) -> str:
        return str(self.strerror)


def unknown_name(component: str, kind: str, name: object, choices: Iterable[str]) -> ValueError:
    """The error for an unknown name: lists the choices and the nearest match.

    Args:
        component: who refuses the name, e.g. ``"make_env"``.
        kind: what was named, e.g. ``"task"``.
        name: what the caller gave.
        choices: the names that exist.

    Examples:
        >>> str(unknown_name("make_env", "task", "vmas/whel", ["vmas/wheel"]))
        "make_env: unknown task 'vmas/whel'; did you mean 'vmas/wheel'? Choose from: vmas/wheel."
    """
    listed = sorted(choices)
    near = difflib.get_close_matches(str(name), listed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return ValueError(f"{component}: unknown {kind} {str(name)!r}{hint} Choose from: {', '.join(listed)}.")


def told_together(component: str, messages: Iterable[str]) -> str:
    r"""Several mistakes as one message: a single one as it is, others as a list, those of lists included.

    Args:
        component: who lists them.
        messages: each of one mistake, or made by this function.

    Examples:
        >>> told_together("train", ["train: seed is -1.", told_together("bc", ["bc: a.", "bc: b."])])
        'train: 3 settings are wrong:\n  - train: seed is -1.\n  - bc: a.\n  - bc: b.'
    """
    lines = {line: None for message in messages for line in _LISTED.split(message) if line}
    if len(lines) < 2:
        return next(iter(lines), "")
    return f"{component}: {len(lines)} settings are wrong:" + "".join(f"\n  - {line}" for line in lines)


def require_choice(component: str, **values: tuple[object, Iterable[object]]) -> None:
    """Raise ``ValueError`` unless every value is one of its choices.

    Args:
        component: who takes the values.
        **values: the value and its choices, by the argument's name.

    Examples:
        >>> require_choice("IQLLoss", reduction=("men", ("mean", "sum")))
        Traceback (most recent call last):
            ...
        ValueError: IQLLoss: unknown reduction 'men'; did you mean 'mean'? Choose from: mean, sum.
    """
    for name, (value, choices) in values.items():
        if value not in choices:
            raise unknown_name(component, name, value, map(str, choices))


def require_fields(component: str, config: object) -> object:
    """``config``, unless it has an entry that its dataclass does not know: that would be ignored.

    Args:
        component: the recipe.
        config: instance of a dataclass, nested ones included.

    Raises:
        SettingsError: names the entry and the nearest field.

    Examples:
        >>> from omiga_torchrl.evaluation import Protocol
        >>> config = Protocol()
        >>> object.__setattr__(config, "epsiodes", 3)
        >>> require_fields("train", config)
        Traceback (most recent call last):
            ...
        omiga_torchrl.errors.SettingsError: train: unknown key 'epsiodes'; did you mean 'episodes'? ...
    """
    if is_dataclass(config):
        known = [field.name for field in fields(config)]
        for name, value in vars(config).items():
            if name not in known:
                raise SettingsError(str(unknown_name(component, "key", name, known)))
            require_fields(component, value)
    return config


def require_key(component: str, tensordict: TensorDictBase, key: NestedKey, hint: str = "") -> Any:
    """The entry ``key`` of ``tensordict``, or a ``KeyError`` that says what is there.

    Args:
        component: who needs the entry.
        tensordict: where it should be.
        key: the (nested) key.
        hint: the likely fix, appended to the message.
    """
    value = tensordict.get(key, None)
    if value is None:
        present = sorted(map(str, tensordict.keys(True, True)))
        raise KeyError(f"{component}: key {key!r} is missing; found {', '.join(present)}. {hint}".strip())
    return value


def require_shape(
    component: str, key: NestedKey, value: Tensor, expected: Sequence[int], named: str, hint: str = ""
) -> None:
    """Raise ``ValueError`` unless ``value`` has exactly the shape ``expected``.

    Args:
        component: who needs the tensor.
        key: its key or argument name, for the message.
        value: the tensor.
        expected: the sizes it must have.
        named: the same shape with named dimensions, e.g. ``"[*batch, 1]"``.
        hint: the likely fix.
    """
    if tuple(value.shape) != tuple(expected):
        raise ValueError(
            f"{component}: {key!r} has shape {tuple(value.shape)}; expected {named} = "
            f"{tuple(expected)}. {hint}".strip()
        )


def require_number(component: str, expected: str, **values: object) -> None:
    """Raise ``ValueError`` unless every value is a finite number in a range.

    Args:
        component: who takes the numbers.
        expected: the range: ``"> 0"``, ``">= 0"``, ``">= 1"``, ``"in [0, 1]"``, ``"in (0, 1)"``
            or ``"that is finite"``.
        **values: the numbers by their arguments' names.

    Examples:
        >>> require_number("IQLLoss", "> 0", temperature=float("nan"))
        Traceback (most recent call last):
            ...
        ValueError: IQLLoss: temperature is nan; expected a number > 0.
    """
    for name, value in values.items():
        number = isinstance(value, Real) and math.isfinite(value)
        if not (number and _RANGES[expected](value)):
            finite = ", and finite" if value == math.inf and "finite" not in expected else ""
            raise ValueError(f"{component}: {name} is {value!r}; expected a number {expected}{finite}.")


def require_count(component: str, least: int, **values: object) -> None:
    """Raise ``ValueError`` unless every value is a whole number and large enough.

    Args:
        component: who takes the numbers.
        least: the smallest.
        **values: the numbers by their arguments' names.

    Examples:
        >>> require_count("AWACLoss", 1, samples=0)
        Traceback (most recent call last):
            ...
        ValueError: AWACLoss: samples is 0; expected at least 1, and a whole number.
    """
    for name, value in values.items():
        if not (isinstance(value, Integral) and int(value) >= least):
            raise ValueError(
                f"{component}: {name} is {value!r}; expected at least {least}, and a whole number."
            )


def require_seed(component: str, **values: object) -> None:
    """Raise ``ValueError`` unless every value is a seed that NumPy and PyTorch take.

    Args:
        component: who takes the seeds.
        **values: the seeds by their arguments' names.

    Examples:
        >>> require_seed("evaluate", seed=-1)
        Traceback (most recent call last):
            ...
        ValueError: evaluate: seed is -1; expected a whole number in [0, 2**32).
    """
    for name, value in values.items():
        if not (isinstance(value, Integral) and 0 <= int(value) < 2**32):
            raise ValueError(f"{component}: {name} is {value!r}; expected a whole number in [0, 2**32).")
