"""One template for every error message: who, what, got, expected, likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from tensordict import NestedKey, TensorDictBase
from torch import Tensor


class DataError(ValueError):
    """A dataset, batch or environment is not what a component needs."""


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
