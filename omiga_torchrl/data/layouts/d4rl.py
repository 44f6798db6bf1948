"""D4RL's single-agent datasets: one HDF5 file with a row per step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import (
    Layout,
    Reading,
    ReadOptions,
    block_spans,
    count_within,
    relabel_ends,
    require,
    to_floats,
)
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.hdf5 import Field, ends_of, find_fields, holds_fields, open_hdf5
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.errors import DataError

_FIELDS: Final = ("observations", "actions", "rewards", "terminals")
_OPTIONAL: Final = ("timeouts", "next_observations")

# Rows that are compared at once to find out where episodes end.
_PIECE_ROWS: Final = 2**14


@register_layout("d4rl", priority=60)
class D4rlLayout(Layout):
    """One HDF5 file with a row per step of a single agent, read as a team of one.

    An episode ends where ``terminals`` or ``timeouts`` are set. With ``next_observations`` it
    also ends, truncated, where the next row does not go on from there. Without, the last step
    of an episode that ran out of time is dropped, since what came after it is not known; files
    without ``timeouts`` need the option ``max_steps`` then. Whatever is in groups is ignored.
    """

    summary: ClassVar[str] = "HDF5 file of D4RL with observations, actions, rewards, terminals, timeouts"

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with these fields."""
        return holds_fields(path, _FIELDS)

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check fields and ends, then stream.

        Raises:
            DataError: missing or unfitting fields, or rows after the last end.
        """
        left_out = LeftOut()
        with open_hdf5(path) as file:
            episodes = _find_episodes(_open_fields(file, path), path, options, left_out)
        return Reading(_blocks(path, episodes), steps=int(episodes.length.sum()), left_out=left_out)


@dataclass
class _Spans:
    """Where the episodes are, `[E]` each.

    Attributes:
        start: first row.
        rows: number of rows.
        length: number of steps; one less than rows where the end is not known.
        terminated: whether the task ended.
    """

    start: Array
    rows: Array
    length: Array
    terminated: Array


def _open_fields(file: Any, path: Path) -> dict[str, Field]:
    with as_data_error(path):
        names = (*_FIELDS, *(name for name in _OPTIONAL if name in file))
    fields, found = find_fields(file, names, path)
    sizes = {name: field.shape for name, field in fields.items()}
    for name, shape in sizes.items():
        wide = name in ("observations", "next_observations", "actions")
        fits = len(shape) == 2 if wide else len(shape) in (1, 2) and math.prod(shape[1:]) == 1
        if name == "actions" and fields[name].dtype.kind != "f":
            found.append(f"'actions' has type {fields[name].dtype}, expected floats")
        if not fits or 0 in shape:
            found.append(f"{name!r} has shape {shape}, expected {'(R, features)' if wide else '(R,)'}")
        else:
            like = sizes.get("observations", shape)
            if shape[:1] != like[:1] or (name == "next_observations" and shape != like):
                found.append(f"{name!r} has shape {shape}, 'observations' {like}")
    fix = f"Expected the fields {', '.join(_FIELDS)}. Is the file complete?"
    require(found, f"OfflineDataset: {path}", fix)
    return fields


def _find_episodes(fields: dict[str, Field], path: Path, options: ReadOptions, left_out: LeftOut) -> _Spans:
    rows, follows = len(fields["observations"]), "next_observations" in fields
    terminated, truncated = np.zeros((2, rows), bool)
    terminated[ends_of(fields["terminals"])] = True
    if "timeouts" in fields:
        truncated[ends_of(fields["timeouts"])] = True
    elif not follows and options.max_steps is None:
        raise DataError(
            f"OfflineDataset: {path}: neither 'timeouts' nor 'next_observations' are there to say where "
            "episodes end. Pass max_steps=, the length of an episode that ran out of time."
        )
    if follows:
        truncated |= _breaks(fields["observations"], fields["next_observations"])
    ended = terminated | truncated
    if "timeouts" not in fields and options.max_steps is not None:
        truncated |= _overdue(ended, options.max_steps)
        ended |= truncated
    if not ended[-1]:
        if options.incomplete == "error":
            behind = int(np.flatnonzero(ended)[-1]) + 1 if ended.any() else 0
            raise DataError(
                f"OfflineDataset: {path}: the episode in rows {behind} to {rows - 1} has no end. Is the file "
                "complete? incomplete='truncated' closes it there."
            )
        truncated[-1] = True
    last = np.flatnonzero(terminated | truncated)
    start = np.concatenate([[0], last[:-1] + 1])
    size = last + 1 - start
    terminated, _ = relabel_ends(terminated, truncated & ~terminated, size, options)
    length = size if follows else size - ~terminated[last]
    left_out.add(to_floats(fields["rewards"][:].reshape(-1)), size, length < size)
    kept = length > 0
    return _Spans(start[kept], size[kept], length[kept], terminated[last][kept])


def _breaks(observations: Field, following: Field) -> Array:
    """Rows `[R]` that the next row does not go on from; compared as they are stored, in single precision."""
    rows = len(observations)
    found = np.zeros(rows, bool)
    for start in range(0, rows - 1, _PIECE_ROWS):
        stop = min(start + _PIECE_ROWS, rows - 1)
        there, here = observations[start + 1 : stop + 1], following[start:stop]
        with np.errstate(over="ignore", invalid="ignore"):
            found[start:stop] = (there.astype(np.float32) != here.astype(np.float32)).any(1)
    return found


def _overdue(ended: Array, max_steps: int) -> Array:
    """Rows `[R]` that are the ``max_steps``-th, or a multiple of it, since the last end."""
    last = np.append(np.flatnonzero(ended), len(ended) - 1)
    sizes = np.diff(last, prepend=-1)
    return count_within(sizes) % max_steps == max_steps - 1


def _blocks(path: Path, spans: _Spans) -> Iterator[Episodes]:
    with open_hdf5(path) as file:
        fields = _open_fields(file, path)
        size = sum(math.prod(f.shape[1:]) * f.dtype.itemsize for f in fields.values())
        for first, last in block_spans(spans.rows, size):
            begin, rows, length, ends = (
                x[first:last] for x in (spans.start, spans.rows, spans.length, spans.terminated)
            )
            part = slice(int(begin[0]), int(begin[-1] + rows[-1]))
            begin = begin - begin[0]
            # Behind the last step comes the row that was not a step, or what replaces it.
            place = np.minimum(count_within(length + 1), np.repeat(rows - 1, length + 1))
            observation = fields["observations"][part][np.repeat(begin, length + 1) + place]
            if "next_observations" in fields:
                final = fields["next_observations"][part][begin + rows - 1]
                observation[np.cumsum(length + 1) - 1] = final
            step = np.repeat(begin, length) + count_within(length)
            terminated, truncated = np.zeros((2, len(step)), bool)
            terminated[np.cumsum(length) - 1], truncated[np.cumsum(length) - 1] = ends, ~ends
            yield Episodes(
                observation=to_floats(observation)[:, None],
                action=fields["actions"][part][step][:, None],
                reward=to_floats(fields["rewards"][part][step].reshape(-1)),
                terminated=terminated,
                truncated=truncated,
                length=length,
            )
