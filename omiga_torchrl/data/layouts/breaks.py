"""Where files that keep the next observation of every row go on with another episode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.npy import to_single


class Rows(Protocol):
    """An array in memory or in a file `[R, F]`; slices of it are arrays in memory."""

    def __getitem__(self, index: slice, /) -> Array:
        """Rows ``index`` of it."""
        ...


def find_breaks(pairs: Iterable[tuple[Rows, Rows]], rows: int, piece: int) -> tuple[Array, Array]:
    """Rows `[R]` that the next row does not go on from, and from which the next row differs.

    Both are compared as they are stored, in single precision: fields may differ in theirs.

    Args:
        pairs: observations and next observations of each agent.
        rows: number of rows R.
        piece: rows to read at a time.

    Examples:
        >>> seen, after = np.array([[0.0], [1.0], [5.0]]), np.array([[1.0], [2.0], [6.0]])
        >>> breaks, moves = find_breaks([(seen, after)], 3, piece=2)
        >>> breaks.tolist(), moves.tolist()
        ([False, True, False], [True, True, False])
    """
    breaks, moves = np.zeros((2, rows), bool)
    pairs = list(pairs)
    for first in range(0, rows - 1, piece):
        last = min(first + piece, rows - 1)
        for now, after in pairs:
            here = to_single(now[first : last + 1])
            breaks[first:last] |= (to_single(after[first:last]) != here[1:]).any(1)
            moves[first:last] |= (here[:-1] != here[1:]).any(1)
    return breaks, moves
