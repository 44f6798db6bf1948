"""Time limits that only observations show: they begin anew after so many steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.base import count_within

# Observations of rows, `[rows, ...]`.
ReadRows = Callable[[int, int], Array]

_PIECE: Final = 2**14
_SAMPLE: Final = 4096
# The largest changes, whose places are tried.
_LARGEST: Final = 8
_FEWEST: Final = 3
# Rows that are looked at: a limit shows again and again.
_ROWS: Final = 100_000
_FACTOR: Final = 3.0


def overdue(ended: Array, max_steps: int) -> Array:
    """Rows `[T]` that are the ``max_steps``-th, or a multiple of it, since the last end.

    Args:
        ended: last rows of episodes `[T]`.
        max_steps: the time limit.

    Examples:
        >>> overdue(np.array([False, True, False, False, False]), 2).nonzero()[0]
        array([1, 3])
    """
    return _since(ended) % max_steps == max_steps - 1


def find_time_limit(read: ReadRows, ended: Array) -> int | None:
    """The number of steps after which observations jump again and again, where no end is known.

    Of all numbers of steps that the largest changes suggest, the smallest one is taken after which three
    quarters of the changes are three times as large as 99 of 100 changes elsewhere. Fewer than three such
    places are no proof. Only the first 100,000 rows are looked at.

    Args:
        read: the observations of rows ``first`` to ``last - 1``.
        ended: ends that are known `[T]`.

    Examples:
        >>> walk = np.tile(np.arange(5.0), 4)[:, None]
        >>> find_time_limit(lambda first, last: walk[first:last], np.zeros(20, bool))
        5
    """
    ended = ended[:_ROWS]
    if len(ended) < 2 * (_FEWEST + 1):
        return None
    size, since = _changes(read, len(ended)), _since(ended)
    inner = ~ended
    inner[-1] = False  # what follows the last row is not there
    largest = np.flatnonzero(inner)[np.argsort(size[inner])[-_LARGEST:]]
    for limit in sorted({one for row in largest for one in _divisors(int(since[row]) + 1)}):
        there = inner & (since % limit == limit - 1)
        rest = inner & ~there
        if there.sum() < _FEWEST or not rest.any():
            continue
        if np.quantile(size[there], 0.25) > _FACTOR * np.quantile(size[rest], 0.99):
            return limit
    return None


def _changes(read: ReadRows, rows: int) -> Array:
    """How much observations change to the next row `[T]`, in units of what features usually do."""
    first = _flat(read(0, min(_SAMPLE, rows)))
    usual = np.median(np.abs(np.diff(first, axis=0)), 0)
    # Features that hardly ever change are measured by their range.
    usual = np.maximum(usual, 1e-3 * np.ptp(first, 0)) + 1e-9
    return np.concatenate([*_pieces(read, rows, usual), np.zeros(1)])


def _pieces(read: ReadRows, rows: int, usual: Array) -> Iterator[Array]:
    for start in range(0, rows - 1, _PIECE):
        part = _flat(read(start, min(start + _PIECE + 1, rows)))
        yield np.minimum(np.abs(np.diff(part, axis=0)) / usual, 1e4).mean(1)


def _flat(values: Array) -> Array:
    """In double precision `[rows, features]`; what is not finite, such as padding, is 0."""
    return np.nan_to_num(values.reshape(len(values), -1).astype(np.float64), posinf=0.0, neginf=0.0)


def _since(ended: Array) -> Array:
    """Rows since the last end `[T]`."""
    last = np.append(np.flatnonzero(ended), len(ended) - 1)
    return count_within(np.diff(last, prepend=-1))


def _divisors(number: int) -> set[int]:
    small = [one for one in range(1, int(number**0.5) + 1) if number % one == 0]
    return {one for pair in ((a, number // a) for a in small) for one in pair if one > 1}
