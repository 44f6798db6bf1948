"""Where the episodes of a run of steps end: what flags, numbers of episodes and observations say."""

from __future__ import annotations

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.errors import DataError


def team_ends(terminated: Array, truncated: Array, present: Array | None, where: str) -> tuple[Array, Array]:
    """The team's ``terminated`` and ``truncated`` `[T]` of those of every agent `[T, N]`.

    The team's episode ends when all agents that take part have ended; it is truncated if time ran out for
    one of them then.

    Args:
        terminated: of every agent.
        truncated: of every agent.
        present: where an agent takes part; ``None`` if that is not known.
        where: for messages.

    Raises:
        DataError: agents end at different steps, and ``present`` does not say who goes on.

    Examples:
        >>> one, two = np.array([[True, False], [False, True]]), np.zeros((2, 2), bool)
        >>> team_ends(one, two, np.array([[True, True], [False, True]]), "here")[0]
        array([False,  True])
    """
    ended = terminated | truncated
    some = ended.any(1) & ~ended.all(1)
    if present is None and some.any():
        raise DataError(
            f"{where}: some agents end in row {int(some.argmax())} and others do not, in {int(some.sum())} "
            "rows. Pass agent_mask= with a row a step, true while an agent takes part, or one flag for the "
            "team."
        )
    there = np.ones_like(ended) if present is None else present
    all_ended = (ended | ~there).all(1) & ended.any(1)
    late = np.asarray((truncated & there).any(1))
    return np.asarray(all_ended & ~late), np.asarray(all_ended & late)


def find_lengths(
    terminated: Array, truncated: Array, episode: Array | None, jumps: Array | None, rows: int, where: str
) -> Array:
    """Steps of every episode `[E]`; the last one ends where the data do.

    Args:
        terminated: `[T]`.
        truncated: `[T]`.
        episode: number of each row's episode `[T]`, where there is one.
        jumps: rows `[T]` that the next row does not go on from; ``None`` if that is not known.
        rows: observation rows, T or T + E.
        where: for messages.

    Raises:
        DataError: an episode goes on after its end or is in two places, or nothing says where any ends.
    """
    marked, steps = terminated | truncated, len(terminated)
    last = marked.copy()
    if jumps is not None:
        last |= jumps
    if episode is not None:
        last = np.append(episode[1:] != episode[:-1], True)
        _require_whole(marked, last, episode, where)
    elif not last.any() and rows == steps and jumps is None and steps > 1:
        raise DataError(
            f"{where}: 'terminated' and 'truncated' mark no end of an episode in {steps} rows. Pass "
            "truncated= or episode=, the number of each row's episode (all zeros: it is one)."
        )
    last[-1] = True
    return np.diff(np.flatnonzero(last), prepend=-1)


def _require_whole(marked: Array, last: Array, episode: Array, where: str) -> None:
    inside = np.flatnonzero(marked & ~last)
    if len(inside):
        raise DataError(
            f"{where}: episode {episode[inside[0]]} goes on after it ended in row {int(inside[0])}; rows of "
            f"this kind: {len(inside)}. Give every episode its own number, or only the flags."
        )
    numbers = episode[last]
    values, first = np.unique(numbers, return_index=True)
    if len(values) < len(numbers):
        again = int(np.setdiff1d(np.arange(len(numbers)), first)[0])
        row = int(np.flatnonzero(last)[again])
        raise DataError(
            f"{where}: episode {numbers[again]} is in several places, again before row {row}. Sort the rows "
            "by episode and step."
        )
