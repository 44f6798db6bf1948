"""D4RL's single-agent datasets: one HDF5 file with a row per step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import Layout, Reading, ReadOptions, block_spans, to_floats
from omiga_torchrl.data.layouts.breaks import find_breaks
from omiga_torchrl.data.layouts.d4rl_fields import FIELDS, idle_rows, open_fields
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.hdf5 import holds_fields, open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field, ends_of
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.row_ends import RowEnds, RowFacts, find_row_ends, terminated_episodes
from omiga_torchrl.data.layouts.steps import steps_to_episodes
from omiga_torchrl.data.layouts.time_limits import overdue
from omiga_torchrl.errors import DataError

# Rows that are compared at once to find out where episodes end.
_PIECE_ROWS: Final = 2**14


@register_layout("d4rl", priority=60)
class D4rlLayout(Layout):
    """One HDF5 file with a row per step of a single agent, read as a team of one.

    An episode ends where ``terminals`` or ``timeouts`` are set. With ``next_observations`` it
    also ends, truncated, where the next row does not go on from there. Without, the last step
    of an episode that ran out of time is dropped, since what came after it is not known; files
    without ``timeouts`` need the option ``max_steps`` then. So is a ``next_observations`` that belongs to the
    next episode, as of environments that reset by themselves. Whatever is in groups is ignored.
    """

    summary: ClassVar[str] = "HDF5 file of D4RL with observations, actions, rewards, terminals, timeouts"

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with these fields."""
        return holds_fields(path, FIELDS)

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check fields and ends, then stream.

        Raises:
            DataError: missing or unfitting fields, or rows after the last end.
        """
        left_out, notes = LeftOut(), EndNotes()
        with open_hdf5(path) as file:
            fields = open_fields(file, path)
            ends, follows = _find_episodes(fields, path, options, notes)
        terminated = terminated_episodes(ends, options)
        known = terminated | follows | ends.delimited
        notes.cut.append(ends.cut[ends.rows > ~known])
        steps = int((ends.steps - ~known).sum())
        blocks = _blocks(path, ends, terminated, follows, left_out)
        return Reading(blocks, steps, left_out=left_out, ends=notes)


def _find_episodes(
    fields: dict[str, Field], path: Path, options: ReadOptions, notes: EndNotes
) -> tuple[RowEnds, Array]:
    """The episodes, and of which it is known what was seen after the last row `[E]`."""
    rows, where = len(fields["observations"]), f"OfflineDataset: {path}"
    terminated, truncated = np.zeros((2, rows), bool)
    terminated[ends_of(fields["terminals"])] = True
    if "timeouts" in fields:
        truncated[ends_of(fields["timeouts"])] = True
    elif "next_observations" not in fields and options.max_steps is None:
        raise DataError(
            f"{where}: neither 'timeouts' nor 'next_observations' are there to say where episodes end. Pass "
            "max_steps=, the length of an episode that ran out of time."
        )
    marked = terminated | truncated
    foreign, idle = np.zeros((2, rows), bool)
    if "next_observations" in fields:
        breaks, moves = find_breaks(
            [(fields["observations"], fields["next_observations"])], rows, _PIECE_ROWS
        )
        foreign = notes.foreign_ends(marked, moves & ~breaks)
        truncated |= breaks
        if "timeouts" not in fields and options.max_steps is not None:
            truncated |= overdue(terminated | truncated, options.max_steps)
    else:
        idle = idle_rows(fields, _PIECE_ROWS)
    observations = fields["observations"]
    facts = RowFacts(
        terminated,
        truncated & ~terminated,
        idle,
        is_empty=lambda first, last: not observations[first:last].any(),
        find_limit=lambda ended: None,
        continuous=True,
    )
    ends = find_row_ends(facts, options, notes, where)
    last = ends.start + ends.rows - 1
    unmarked = ~marked[last] & ~ends.delimited
    known = ~foreign[last] & ~ends.delimited & ("next_observations" in fields)
    return replace(ends, cut=ends.cut | (unmarked & known)), known


def _blocks(
    path: Path, ends: RowEnds, terminated: Array, known: Array, left_out: LeftOut
) -> Iterator[Episodes]:
    with open_hdf5(path) as file:
        fields = open_fields(file, path)
        size = sum(math.prod(f.shape[1:]) * f.dtype.itemsize for f in fields.values())
        names = [name for name in fields if name not in ("terminals", "timeouts")]
        for first, last in block_spans(ends.rows, size):
            part = ends.part(first, last)
            span = slice(int(part.start[0]), int(part.start[-1] + part.rows[-1]))
            rows = part.take({name: fields[name][span] for name in names})
            final = rows.get("next_observations", rows["observations"])[np.cumsum(part.rows) - 1]
            block = steps_to_episodes(
                to_floats(rows["observations"])[:, None],
                rows["actions"][:, None],
                to_floats(rows["rewards"].reshape(-1)),
                terminated[first:last],
                part.rows,
                delimited=part.delimited,
                following=(to_floats(final)[:, None], known[first:last]),
                left_out=left_out,
            )
            if len(block):
                yield block
