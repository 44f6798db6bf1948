"""Where episodes end in files with one row a step: flags, delimiter rows, padding and time limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from omiga_torchrl.data.agent_arrays import Array
from omiga_torchrl.data.layouts.base import count_within
from omiga_torchrl.data.layouts.delimiters import find_delimiters, find_padding_rows
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.ends import required_limit
from omiga_torchrl.data.layouts.options import ReadOptions
from omiga_torchrl.data.layouts.time_limits import overdue
from omiga_torchrl.errors import DataError


@dataclass(frozen=True)
class RowEnds:
    """The episodes of a file, `[E]` each.

    Attributes:
        start: first row.
        rows: number of rows, that of a delimiter included; rows between episodes are padding.
        delimited: whether the last row is a delimiter: no step, but what was seen after the last one.
        terminated: whether the task ended.
        cut: whether there is no mark of the end.
    """

    start: Array
    rows: Array
    delimited: Array
    terminated: Array
    cut: Array

    @property
    def steps(self) -> Array:
        """Number of steps."""
        return self.rows - self.delimited

    def part(self, first: int, last: int) -> RowEnds:
        """The episodes ``first`` to ``last``, the latter excluded."""
        return RowEnds(*(getattr(self, one.name)[first:last] for one in fields(self)))

    def take(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """The rows of these episodes, without padding between them.

        Args:
            arrays: the rows from the first one of the first episode to the last one of the last.
        """
        if (self.start[1:] == self.start[:-1] + self.rows[:-1]).all():
            return arrays
        row = np.repeat(self.start - self.start[0], self.rows) + count_within(self.rows)
        return {name: values[row] for name, values in arrays.items()}

    def without_delimiters(self, action: Array) -> Array:
        """Actions of these episodes `[rows, ...]`, the one before instead of a delimiter's, which is none."""
        last = (np.cumsum(self.rows) - 1)[self.delimited]
        if len(last):
            action = action.copy()
            action[last] = action[last - 1]
        return action


@dataclass(frozen=True)
class RowFacts:
    """Flags of the rows of a file, `[T]` each.

    Attributes:
        terminated: the file says that the task ended.
        truncated: the file says that time ran out; never both.
        idle: all actions and rewards are zero.
        is_empty: whether all observations of some rows are zero, too; asked for few rows.
        find_limit: looks for a time limit in the observations, where no flag says anything.
        continuous: whether actions are; then hardly any step is idle by chance.
        delimiter: rows that are known to be delimiters; ``None`` looks for them.
    """

    terminated: Array
    truncated: Array
    idle: Array
    is_empty: Callable[[int, int], bool]
    find_limit: Callable[[Array], int | None]
    continuous: bool
    delimiter: Array | None = None

    @property
    def marked(self) -> Array:
        """Where a flag is set."""
        return self.terminated | self.truncated


def find_row_ends(facts: RowFacts, options: ReadOptions, notes: EndNotes, where: str) -> RowEnds:
    """The episodes of a file with one row a step.

    1. Rows without action, reward, observation and flag behind an end are padding.
    2. Idle rows that carry the flag, or stand behind the row that does, are delimiters if hardly any other
       row is idle, see :func:`~omiga_torchrl.data.layouts.delimiters.find_delimiters`.
    3. Where nothing tells time-outs, episodes end at multiples of the option ``max_steps``; where there is
       no flag at all, also at those of a time limit that observations show.

    Args:
        facts: what is known of the rows.
        options: ``delimiter_rows``, ``max_steps`` and ``incomplete``.
        notes: takes in what is found.
        where: the file, for messages.

    Raises:
        DataError: no row says where an episode ends, the last one has no end, or idle rows may be either.
    """
    padding = find_padding_rows(facts.marked, facts.idle, facts.is_empty)
    notes.drop("rows of zeros behind the ends of episodes", int(padding.sum()))
    kept = np.flatnonzero(~padding)
    terminated, truncated, idle = facts.terminated[kept], facts.truncated[kept], facts.idle[kept]
    marked = terminated | truncated
    if facts.delimiter is not None:
        delimiter = facts.delimiter[kept]
    else:
        told = options.delimiter_rows
        delimiter = find_delimiters(terminated, truncated, idle, told, facts.continuous, where)
    # A delimiter without a step before it delimits nothing.
    empty = delimiter & np.append(True, delimiter[:-1])
    notes.drop("delimiter rows without an episode", int(empty.sum()))
    kept, delimiter = kept[~empty], delimiter[~empty]
    terminated, truncated, marked = terminated[~empty], truncated[~empty], marked[~empty]
    notes.drop("delimiter rows", int(delimiter.sum()))
    last = delimiter | (marked & ~np.append(delimiter[1:], False))
    if not truncated.any():
        last |= _limits(facts, last, delimiter, options, notes, where)
    cut = np.zeros(len(last), bool)
    if len(last) and not last[-1]:
        require_may_stop(last, options, where, first=int(kept[0]))
        last[-1] = cut[-1] = True
    end = np.flatnonzero(last)
    start = np.concatenate([[0], end[:-1] + 1])[: len(end)]
    delimited = delimiter[end]
    # The flag of the last step counts, not that of the delimiter behind it.
    flag = np.where(delimited & marked[end - 1], end - 1, end)
    return RowEnds(kept[start], end + 1 - start, delimited, terminated[flag], cut[end])


def require_may_stop(last: Array, options: ReadOptions, where: str, first: int = 0) -> None:
    """Raise if the last episode has to have an end.

    Args:
        last: last rows of episodes `[T]`; the very last row is none.
        options: ``incomplete``.
        where: the file, for the message.
        first: number of the first row.
    """
    if options.incomplete == "error":
        start = first + (int(np.flatnonzero(last)[-1]) + 1 if last.any() else 0)
        raise DataError(
            f"{where}: the last episode, rows {start} to {first + len(last) - 1}, has no end. Is the file "
            "complete? Pass incomplete='truncated' to end it there as a time-out."
        )


def _limits(
    facts: RowFacts, last: Array, delimiter: Array, options: ReadOptions, notes: EndNotes, where: str
) -> Array:
    """Last rows of episodes that no flag tells `[T]`, of a file without a mark of time-outs."""
    limit, rows = options.max_steps, np.diff(np.append(-1, np.flatnonzero(last)))
    glued = not len(rows) or rows.max() >= 2 * rows.min()
    if limit is None and glued and len(last) == len(facts.idle):
        limit = facts.find_limit(last)
        if limit is not None:
            notes.note(
                f"Observations begin anew after every {limit} steps without a mark of an end, which is taken "
                "for the time limit. Pass max_steps= to say another one."
            )
    if limit is None and not last.any() and options.incomplete == "error":
        raise DataError(
            f"{where}: no row of {len(last)} marks the end of an episode, and the observations do not show "
            "one. Pass max_steps=, the length of an episode that ran out of time, or incomplete='truncated' "
            "if it is a single episode."
        )
    if limit is None:
        return np.zeros(len(last), bool)
    # A row more than the limit is rather another way of counting than an episode of one step.
    size = np.diff(np.append(np.flatnonzero(last), len(last) - 1), prepend=-1)
    longer = np.repeat(size, size) != limit + 1
    return overdue(last, limit) & longer & ~delimiter & ~np.append(delimiter[1:], False)


def terminated_episodes(ends: RowEnds, options: ReadOptions) -> Array:
    """Which episodes terminated `[E]`, as the user wants time-outs.

    Args:
        ends: the episodes.
        options: ``timeout_is_terminal`` and ``max_steps``.

    Raises:
        ValueError: ``timeout_is_terminal=False``, and nothing tells time-outs.

    Examples:
        >>> one, no = np.array([True]), np.array([False])
        >>> ends = RowEnds(np.array([0]), np.array([3]), one, one, no)
        >>> terminated_episodes(ends, ReadOptions(timeout_is_terminal=False, max_steps=2))
        array([False])
    """
    late = ~ends.terminated & ~ends.cut
    if options.timeout_is_terminal:
        return ends.terminated | late
    if options.timeout_is_terminal is False and (options.max_steps is not None or not late.any()):
        return ends.terminated & (ends.steps != required_limit(options))
    return ends.terminated
