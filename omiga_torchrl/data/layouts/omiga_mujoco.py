"""OMIGA's multi-agent MuJoCo datasets: one HDF5 file with ``s``, ``o``, ``a``, ``r`` and ``d``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
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
    require,
    split_ends,
    to_team_reward,
)
from omiga_torchrl.data.layouts.hdf5 import Field, create_hdf5, ends_of, find_fields, holds_fields, open_hdf5
from omiga_torchrl.data.layouts.omiga_mujoco_writing import PIECE_BYTES, append_rows, to_rows
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.errors import DataError

_FIELDS: Final = ("s", "o", "a", "r", "d")

# Blocks that stay in the processor's cache while they are looked at and written.
_BLOCK_BYTES: Final = 4 * 2**20

# Rows that are compared when a file is opened, in as many places.
_SAMPLE_ROWS, _SAMPLE_PLACES = 256, 64


@register_layout("omiga-mujoco", priority=80)
class OmigaMujocoLayout(Layout):
    """One HDF5 file with a row per observation.

    An episode of L steps has L + 1 rows; the last one holds what the team saw at the end, and
    ``d`` = 1. Time-outs are not told apart from other ends: they are read as ``terminated``,
    unless the options are ``timeout_is_terminal=False`` and ``max_steps``.

    ``s`` and ``o`` are the same in the published files. Then no state is kept: it is the
    observations of all agents in a row. Otherwise it is the agents' ``s`` in a row.
    """

    summary: ClassVar[str] = "HDF5 file of OMIGA's multi-agent MuJoCo data with s, o, a, r, d"

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with these fields."""
        return holds_fields(path, _FIELDS)

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check fields and ends, then stream.

        Raises:
            DataError: missing or unfitting fields, or rows after the last end.
            ValueError: ``timeout_is_terminal=False`` without ``max_steps``.
        """
        with open_hdf5(path) as file:
            fields = _open_fields(file, path)
            episodes = _Rows.of(fields, path, options)
            stated = not _same_rows(fields)
        blocks = _blocks(path, episodes, options, stated)
        return Reading(blocks, steps=int(episodes.length.sum()), actions="raw")

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: int | None = None) -> None:
        """Write episodes as such a file; floats in single precision.

        The layout does not hold ``truncated``: to read the same again, pass
        ``timeout_is_terminal=False`` and ``max_steps``. In the last row of an episode action
        and reward are 0.

        Args:
            path: the file; it must not be there yet.
            blocks: the episodes, continuous actions.
            n_actions: not used: its actions are continuous.

        Raises:
            FileExistsError: there is something at ``path``.
            DataError: action masks, discrete actions, a state that cannot be split evenly among
                the agents, or no episode at all; nothing is kept.

        Examples:
            >>> import tempfile
            >>> from omiga_torchrl.data import OfflineDataset
            >>> from omiga_torchrl.data.blocks import episode_blocks
            >>> path = Path(tempfile.mkdtemp()) / "navigation.hdf5"
            >>> layout = OmigaMujocoLayout()
            >>> layout.write(path, episode_blocks(OfflineDataset("vmas/navigation/mixed").data))
            >>> layout.read(path, ReadOptions()).steps
            30261
        """
        with create_hdf5(path) as file:
            for block in blocks:
                append_rows(file, to_rows(block))
            if not len(file):
                raise DataError(f"OmigaMujocoLayout: {path}: there are no episodes to write.")


@dataclass
class _Rows:
    """Where the episodes are.

    Attributes:
        start: first row of every episode `[E]`.
        length: steps of every episode `[E]`; it has one row more.
        terminated: `[T]`.
        truncated: `[T]`.
    """

    start: Array
    length: Array
    terminated: Array
    truncated: Array

    @classmethod
    def of(cls, fields: dict[str, Field], path: Path, options: ReadOptions) -> _Rows:
        rows, last = len(fields["d"]), ends_of(fields["d"])
        start = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
        behind = int(last[-1]) + 1 if len(last) else 0
        cut = behind < rows
        if cut:
            if options.incomplete == "error":
                raise DataError(
                    f"OfflineDataset: {path}: the episode in rows {behind} to {rows - 1} has no end ('d' is "
                    "0). Is the file complete? incomplete='truncated' closes it at its last row."
                )
            start, last = np.append(start, behind), np.append(last, rows - 1)
        length = last - start
        # A single row is no step: there is nothing before it.
        start, length, cut = start[length > 0], length[length > 0], cut and length[-1] > 0
        ended = np.zeros(int(length.sum()), bool)
        ended[np.cumsum(length) - 1] = True
        terminated, truncated = split_ends(ended, length, options)
        if cut:
            terminated[-1], truncated[-1] = False, True
        return cls(start, length, terminated, truncated)


def _open_fields(file: Any, path: Path) -> dict[str, Field]:
    """All five fields; raises one error for everything that does not fit."""
    fields, found = find_fields(file, _FIELDS, path)
    shapes = {name: field.shape for name, field in fields.items()}
    for name, field in fields.items():
        dimensions = {"s": (2, 3), "o": (3,), "a": (3,)}.get(name, (1, 2, 3))
        if field.dtype.kind != "f" and name != "d":
            found.append(f"{name!r} has type {field.dtype}, expected floats")
        if len(field.shape) not in dimensions or 0 in field.shape:
            found.append(f"{name!r} has shape {field.shape}, expected {dimensions[-1]} dimensions, none 0")
        elif name == "d" and math.prod(field.shape[1:]) != 1:
            found.append(f"'d' has shape {field.shape}, expected one flag per row")
    if not found:
        rows, agents = shapes["o"][:2]
        per_agent = {"a": (agents,), "s": (agents,) if len(shapes["s"]) == 3 else ()}
        for name, shape in shapes.items():
            expected = (rows, *per_agent.get(name, ()))
            if shape[: len(expected)] != expected:
                found.append(f"{name!r} has shape {shape}, 'o' has {shapes['o']}")
        if math.prod(shapes["r"][1:]) not in (1, agents):
            found.append(f"'r' has shape {shapes['r']}, expected one reward per row, or one per agent")
    require(
        found, f"OfflineDataset: {path}", f"Expected the fields {', '.join(_FIELDS)}. Is the file complete?"
    )
    return fields


def _same_rows(fields: dict[str, Field]) -> bool:
    """Whether ``s`` is ``o``: in all rows of a small file, in many places of a large one."""
    s, o = fields["s"], fields["o"]
    if s.shape != o.shape or s.dtype != o.dtype:
        return False
    last = max(len(o) - _SAMPLE_ROWS, 0)
    for start in np.unique(np.linspace(0, last, min(_SAMPLE_PLACES, last + 1)).astype(int)).tolist():
        part = slice(start, start + _SAMPLE_ROWS)
        if not np.array_equal(s[part], o[part], equal_nan=True):
            return False
    return True


def _blocks(path: Path, rows: _Rows, options: ReadOptions, stated: bool) -> Iterator[Episodes]:
    step = np.concatenate([[0], np.cumsum(rows.length)])
    with open_hdf5(path) as file:
        fields = _open_fields(file, path)
        names = ("o", "a", "s") if stated else ("o", "a")
        size = sum(math.prod(fields[x].shape[1:]) * fields[x].dtype.itemsize for x in names)
        compare = None if stated else _Comparison(fields["s"])
        for first, last in block_spans(rows.length, size, _BLOCK_BYTES):
            length = rows.length[first:last]
            start, end = int(rows.start[first]), int(rows.start[last - 1] + length[-1] + 1)
            part = slice(start, end)
            observation = fields["o"][part]
            if compare is not None:
                compare(observation, start)
            state = fields["s"][part].reshape(end - start, -1) if stated else None
            inner = np.repeat(rows.start[first:last] - start, length) + count_within(length)
            if end - start > length.sum() + len(length):  # episodes without a step lie in between
                seen = np.repeat(rows.start[first:last] - start, length + 1) + count_within(length + 1)
                observation, state = observation[seen], None if state is None else state[seen]
            steps = slice(int(step[first]), int(step[last]))
            yield Episodes(
                observation=observation,
                action=fields["a"][part][inner],
                reward=to_team_reward(fields["r"][part][inner], options, f"OfflineDataset: {path}"),
                terminated=rows.terminated[steps],
                truncated=rows.truncated[steps],
                length=length,
                state=state,
            )


class _Comparison:
    """Holds ``s`` to ``o`` piece by piece, in memory that is used again and again."""

    def __init__(self, field: Field) -> None:
        row = math.prod(field.shape[1:]) * field.dtype.itemsize
        self._field = field
        self._piece = np.empty((max(1, PIECE_BYTES // row), *field.shape[1:]), field.dtype)

    def __call__(self, observation: Array, start: int) -> None:
        for first in range(0, len(observation), len(self._piece)):
            there = observation[first : first + len(self._piece)]
            piece = self._piece[: len(there)]
            self._field.read_into(piece, start + first)
            # Comparing bits takes half the time; only where they differ is it asked what they mean.
            if not np.array_equal(_words(piece), _words(there)) and not np.array_equal(
                piece, there, equal_nan=True
            ):
                differ = (piece != there).reshape(len(there), -1).any(1)
                raise DataError(
                    f"OfflineDataset: {self._field.where} equals 'o' in many rows, but not in row "
                    f"{start + first + int(differ.argmax())}. Is the file damaged? Fetch it again."
                )


def _words(values: Array) -> Array:
    return values.reshape(-1).view(np.uint8 if values.nbytes % 8 else np.uint64)
