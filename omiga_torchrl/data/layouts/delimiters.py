"""Rows at the ends of episodes that are no steps: delimiters and padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.errors import DataError

# So improbable is it at most that rows taken for delimiters are idle steps.
_CHANCE: Final = 1e-6


def find_delimiters(
    terminated: Array, truncated: Array, idle: Array, told: bool | None, continuous: bool, where: str
) -> Array:
    """Rows `[T]` that only hold what was seen after the last step of an episode.

    They have no action and no reward, and carry the flag of the end or stand behind the row that does. Some
    steps may look like that, too. So they are taken for delimiters if no row in the middle of an episode is
    idle, or if so few are that those at the ends cannot be there by chance. Where no row has a flag, idle
    rows at equal distances are delimiters.

    Args:
        terminated: flag of a termination `[T]`.
        truncated: flag of a time-out `[T]`.
        idle: without action and reward `[T]`.
        told: the option ``delimiter_rows``; ``None`` looks at the rows.
        continuous: whether actions are.
        where: the file, for messages.

    Raises:
        DataError: idle rows at the ends are neither chance nor the rule.

    Examples:
        >>> ended = np.array([False, False, True, False, False, True])
        >>> find_delimiters(ended, ended & False, ended, None, True, "file").nonzero()[0]
        array([2, 5])
    """
    marked = terminated | truncated
    after = np.append(False, marked[:-1])
    behind = after & ~marked & idle
    if told is False:
        return np.zeros_like(marked)
    if told:
        # The second of two flags in a row is the delimiter's.
        followed = np.append(behind[1:] | (marked & after & idle)[1:], False)
        return behind | (marked & ~followed)
    inner = ~marked & ~after
    count, rest = int(idle[inner].sum()), int(inner.sum())
    if not marked.any():
        return idle & _is_regular(idle)
    if not rest:
        return np.zeros_like(marked)
    found = marked & idle
    if not _is_rare(count, rest, int(found.sum()), continuous):
        found = found & False
    elif count and 0 < (found & terminated).sum() < terminated.sum():
        # Where idle steps occur, only the rule tells; of a time-out both readings give the same steps.
        raise _ambiguous(int(found.sum()), "with the flag of an end", where)
    # Rows behind the flag of a step: what follows a delimiter is the next episode's.
    first = np.flatnonzero(after & ~found & ~np.append(False, found[:-1]))
    if len(first) and (idle & ~marked)[first].all() and _is_rare(count, rest, len(first), continuous):
        # Behind the last end of the file nothing begins.
        if first[-1] != len(marked) - 1:
            raise _ambiguous(len(first), "behind the flag of an end", where)
        found[first] = True
    return found


def find_padding_rows(marked: Array, idle: Array, is_empty: Callable[[int, int], bool]) -> Array:
    """Rows of zeros `[T]` behind the ends of episodes, without a flag.

    At the end of a file they are padding; between episodes only if they fill all of them up to one length.

    Args:
        marked: flag of an end `[T]`.
        idle: without action and reward `[T]`.
        is_empty: whether all observations of rows ``first`` to ``last - 1`` are zero; asked for few rows.

    Examples:
        >>> marked = np.array([False, True, False, False])
        >>> find_padding_rows(marked, ~marked, lambda first, last: True).nonzero()[0]
        array([2, 3])
    """
    padding = np.zeros(len(idle), bool)
    ends = np.flatnonzero(marked)
    if not len(ends) or not idle[np.minimum(ends + 1, len(padding) - 1)].any():
        return padding
    # Rows up to the next one that is not idle, or has a flag.
    stops = np.append(np.flatnonzero(~idle | marked), len(padding))
    stop = stops[np.searchsorted(stops, ends, side="right")]
    tail = int(ends[-1]) + 1
    if stop[-1] == len(padding) and tail < len(padding) and is_empty(tail, len(padding)):
        padding[tail:] = True
    if len(ends) > 1 and len(set(np.diff(np.append(0, stop)).tolist())) == 1 and (stop > ends + 1).any():
        spans = [(int(a) + 1, int(b)) for a, b in zip(ends, stop, strict=True) if b > a + 1]
        if all(is_empty(a, b) for a, b in spans):
            for a, b in spans:
                padding[a:b] = True
    return padding


def _is_regular(rows: Array) -> bool:
    """Whether rows are at equal distances of two or more, from the first row to the last one."""
    distance = np.diff(np.flatnonzero(rows), prepend=-1)
    return len(distance) > 1 and bool(rows[-1]) and len(set(distance.tolist())) == 1 and distance[0] > 1


def _is_rare(count: int, rest: int, found: int, continuous: bool) -> bool:
    """Whether ``found`` idle rows are no chance if ``count`` of the ``rest`` are idle."""
    return (continuous and not count) or ((count + 1) / (rest + 2)) ** found < _CHANCE


def _ambiguous(rows: int, place: str, where: str) -> DataError:
    return DataError(
        f"{where}: {rows} rows {place} have neither action nor reward, like delimiters that hold what was "
        "seen after the last step; others have. Pass delimiter_rows=True if they are no steps, False if they "
        "are."
    )
