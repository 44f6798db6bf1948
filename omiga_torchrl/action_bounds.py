"""Bounds of continuous actions as plain numbers: of all features, of each, or of each of every agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

ActionBound = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
"""A bound of all action features, or one for each, or for each of every agent."""

# What environments without bounds give as such, e.g. the largest float.
_NO_BOUND: Final = 1e30
# Of the larger bound: what two computations of one bound in single precision may differ in.
_RELATIVE: Final = 1e-6


def checked_bound(component: str, name: str, value: Any, n_agents: int, size: int) -> ActionBound:
    """A bound in its shortest form: one number where all features have the same.

    Numbers are those that data keep, of single precision, written as short as it allows: the 0.4 of an
    environment in single precision, 0.4000000059604645, is 0.4.

    Args:
        component: who asks, for the message.
        name: of the bound, for the message.
        value: a number, or numbers ``[A]`` or ``[N, A]``.
        n_agents: number of agents N.
        size: action features A.

    Raises:
        ValueError: other shapes, or numbers that are not finite.

    Examples:
        >>> checked_bound("TeamSpec", "action_high", [[0.4000000059604645, 1.0]] * 2, 2, 2)
        (0.4, 1.0)
        >>> checked_bound("TeamSpec", "action_high", float("inf"), 2, 2)
        Traceback (most recent call last):
            ...
        ValueError: TeamSpec: action_high must be finite, got inf. Give the actions a range.
    """
    rows = np.asarray(value, dtype=np.float64)
    if rows.shape not in ((), (size,), (n_agents, size)):
        raise ValueError(
            f"{component}: {name} must be a number, or {size} of them, one a feature of an action, or these "
            f"for each of {n_agents} agents, got the shape {rows.shape}: {value}."
        )
    if not (np.abs(rows) < _NO_BOUND).all():  # NaN, too
        raise ValueError(f"{component}: {name} must be finite, got {value}. Give the actions a range.")
    rows = np.array([float(str(number)) for number in rows.astype(np.float32).flat]).reshape(rows.shape)
    if (rows == rows.flat[0]).all():
        return float(rows.flat[0])
    if rows.ndim == 2 and (rows != rows[0]).any():
        return tuple(tuple(row) for row in rows.tolist())
    return tuple(np.atleast_2d(rows)[0].tolist())


def plain_bound(name: str, value: Any) -> Any:
    """A bound as the user gave it, or those of groups by their names, as numbers and tuples of them.

    Args:
        name: of the option, for the message.
        value: a number, nested sequences or an array of them, a mapping of such, or ``None``.

    Raises:
        ValueError: something else.

    Examples:
        >>> plain_bound("action_low", np.array([[-1, -2]])), plain_bound("action_low", {"prey": -1})
        (((-1.0, -2.0),), {'prey': -1.0})
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {group: plain_bound(name, one) for group, one in value.items()}
    try:
        return _tuples(np.asarray(value, dtype=np.float64).tolist())
    except (TypeError, ValueError):
        raise ValueError(
            f"ReadOptions: {name} must be a number, or numbers [A] or [N, A], got {value!r}."
        ) from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def same_bounds(one: ActionBound, other: ActionBound) -> bool:
    """Whether two bounds are the same but for rounding.

    Args:
        one: a bound.
        other: another, of the same agents and features.

    Examples:
        >>> same_bounds(0.4, (0.4000000059604645, 0.4)), same_bounds(1.0, (1.0, 1.01))
        (True, False)
    """
    first, second = np.asarray(one), np.asarray(other)
    try:
        return bool(np.allclose(first, second, rtol=_RELATIVE, atol=1e-12))
    except ValueError:  # of other numbers of features, which is said by itself
        return False


def told_box(low: ActionBound, high: ActionBound) -> str:
    """A box in words.

    Args:
        low: lower bound.
        high: upper bound.

    Examples:
        >>> told_box(-2.0, 2.0), told_box((-1.0, 0.0), 1.0)
        ('[-2, 2]', '[(-1, 0), 1]')
    """
    return f"[{_told(low)}, {_told(high)}]"


def _told(bound: ActionBound) -> str:
    if isinstance(bound, tuple):
        return f"({', '.join(map(_told, bound))})"
    return f"{bound:g}"
