"""Which agents take part in which rows: what files say of it, and what follows from the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array, to_flags
from omiga_torchrl.data.layouts.base import count_within
from omiga_torchrl.errors import DataError

_PIECE: Final = 2**14


def given_mask(values: Array, where: str) -> Array:
    """A stored mask of agents as booleans `[T, N]`; all of a row in which nobody takes part, such as padding.

    Args:
        values: zeros and ones of any type `[T, N]` or `[T, N, 1]`.
        where: the file, for the message.

    Raises:
        DataError: other values.

    Examples:
        >>> given_mask(np.array([[1.0, 0.0], [0.0, 0.0]]), "file").tolist()
        [[True, False], [True, True]]
    """
    mask = to_flags(values.reshape(values.shape[:2]))
    if mask.dtype != bool:
        raise DataError(
            f"{where}: 'agent_mask' holds other values than zeros and ones. Write 1 where agents take part."
        )
    return np.asarray(mask | ~mask.any(1, keepdims=True))


def without_choice(legal: Array) -> Array:
    """Where an agent has no legal action and another one has `[T, N]`: it cannot take part.

    Args:
        legal: legal actions `[T, N, K]`.

    Examples:
        >>> without_choice(np.array([[[1, 0], [0, 0]], [[0, 0], [0, 0]]])).tolist()
        [[False, True], [False, False]]
    """
    able = (legal != 0).any(2)
    return ~able & able.any(1, keepdims=True)


def find_absent(
    ended: Array, acted: Array, start: Array, rows: Array, read: Callable[[int, int], Array]
) -> Array:
    """Agents that are gone, or that an episode never had `[T, N]`.

    An agent is gone where it ended in an earlier row of the episode and neither acts nor sees anything any
    more. It was never there where it does neither in a whole episode. What it sees is asked for only if
    actions allow it.

    Args:
        ended: where an agent's own end is marked `[T, N]`.
        acted: where it has an action other than zero `[T, N]`.
        start: first row of every episode `[E]`.
        rows: number of its rows `[E]`.
        read: the observations `[rows, N, O]` of rows ``first`` to ``last - 1``.

    Examples:
        >>> ended, acted = np.array([[0, 1], [0, 0], [1, 0]], bool), np.array([[1, 1], [1, 0], [1, 0]], bool)
        >>> seen = np.array([[[1.0], [1.0]], [[1.0], [0.0]], [[1.0], [0.0]]])
        >>> find_absent(ended, acted, np.array([0]), np.array([3]), lambda a, b: seen[a:b]).tolist()
        [[False, False], [False, True], [False, True]]
    """
    inside, offset = np.repeat(start, rows) + count_within(rows), np.cumsum(rows) - rows
    over = _before(ended[inside], offset, rows) > 0
    acting = acted[inside]
    if not (~acting & (over | ~_ever(acting, offset, rows))).any():
        return np.zeros_like(ended)
    alive = acting.copy()
    for first in range(0, len(inside), _PIECE):
        part = inside[first : first + _PIECE]
        seen = read(int(part[0]), int(part[-1]) + 1)[part - part[0]]
        alive[first : first + _PIECE] |= ((seen != 0) & np.isfinite(seen)).any(2)
    ever = _ever(alive, offset, rows)
    # An agent that sees or acts again was not gone.
    again = np.repeat(np.add.reduceat(alive.astype(np.int64), offset), rows, 0) > _before(alive, offset, rows)
    found = ~again & (over | ~ever)
    found[found.all(1)] = False
    absent = np.zeros_like(ended)
    absent[inside] = found
    return absent


def _before(flags: Array, offset: Array, rows: Array) -> Array:
    """How often a flag was set in earlier rows of an episode `[T, N]`."""
    count = np.cumsum(flags, 0) - flags
    return np.asarray(count - np.repeat(count[offset], rows, 0))


def _ever(flags: Array, offset: Array, rows: Array) -> Array:
    """Whether a flag is set in any row of an episode `[T, N]`."""
    return np.repeat(np.logical_or.reduceat(flags, offset), rows, 0)
