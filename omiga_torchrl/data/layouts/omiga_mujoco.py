"""OMIGA's multi-agent MuJoCo datasets: one HDF5 file with ``s``, ``o``, ``a``, ``r`` and ``d``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import (
    BLOCK_BYTES,
    Counts,
    Layout,
    Reading,
    ReadOptions,
    block_spans,
    to_team_reward,
)
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.hdf5 import create_hdf5, holds_fields, open_hdf5
from omiga_torchrl.data.layouts.idle_rewards import leave_out_rewards
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.omiga_mujoco_ends import count_alone, find_episodes
from omiga_torchrl.data.layouts.omiga_mujoco_fields import FIELDS, MASK, Comparison, open_fields, same_rows
from omiga_torchrl.data.layouts.omiga_mujoco_writing import append_rows, to_rows
from omiga_torchrl.data.layouts.presence import given_mask
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.row_ends import RowEnds, terminated_episodes
from omiga_torchrl.data.layouts.steps import require_own_final, steps_to_episodes
from omiga_torchrl.errors import DataError


@register_layout("omiga-mujoco", priority=80)
class OmigaMujocoLayout(Layout):
    """One HDF5 file with a row per observation.

    An episode of L steps has L + 1 rows; the last one holds what the team saw at the end, and
    ``d`` = 1. Time-outs are not told apart from other ends: they are read as ``terminated``,
    unless the options are ``timeout_is_terminal=False`` and ``max_steps``.

    A field ``agent_mask`` `[R, N]`, where agents come and go, is ours.

    ``s`` and ``o`` are the same in the published files. Then no state is kept: it is the
    observations of all agents in a row. Otherwise it is the agents' ``s`` in a row.
    """

    summary: ClassVar[str] = "HDF5 file of OMIGA's multi-agent MuJoCo data with s, o, a, r, d"

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file with these fields."""
        return holds_fields(path, FIELDS)

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check fields and ends, then stream.

        Raises:
            DataError: missing or unfitting fields, or rows after the last end.
            ValueError: ``timeout_is_terminal=False`` without ``max_steps``.
        """
        left_out, notes = LeftOut(), EndNotes()
        with open_hdf5(path) as file:
            fields = open_fields(file, path)
            ends, alone = find_episodes(fields, path, options, notes)
            count_alone(fields["r"], alone, options, path, left_out)
            stated = not same_rows(fields)
        terminated = terminated_episodes(ends, options)
        notes.cut.append(ends.cut)
        blocks = _blocks(path, ends, terminated, options, stated, left_out)
        return Reading(blocks, int(ends.steps.sum()), actions="raw", left_out=left_out, ends=notes)

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: Counts = None) -> None:
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


def _blocks(
    path: Path, ends: RowEnds, terminated: Array, options: ReadOptions, stated: bool, left_out: LeftOut
) -> Iterator[Episodes]:
    where, names = f"OfflineDataset: {path}", ("o", "a", "r", "s") if stated else ("o", "a", "r")
    with open_hdf5(path) as file:
        fields = open_fields(file, path)
        names = (*names, MASK) if MASK in fields else names
        size = sum(math.prod(fields[x].shape[1:]) * fields[x].dtype.itemsize for x in names)
        compare = None if stated else Comparison(fields["s"])
        for first, last in block_spans(ends.rows, size, BLOCK_BYTES):
            part, over = ends.part(first, last), terminated[first:last]
            start, stop = int(part.start[0]), int(part.start[-1] + part.rows[-1])
            rows = {name: fields[name][start:stop] for name in names}
            if compare is not None:
                compare(rows["o"], start)
            rows = part.take(rows)
            require_own_final(rows["o"], part.rows, ~over, where)
            last = rows["r"][np.cumsum(part.rows) - 1]
            leave_out_rewards(last, part.rows, part.delimited, options, where, left_out)
            state = rows["s"].reshape(len(rows["s"]), -1) if stated else None
            reward = to_team_reward(part.without_delimiters(rows["r"]), options, where)
            yield steps_to_episodes(
                rows["o"],
                rows["a"],
                reward,
                over,
                part.rows,
                state=state,
                agent_mask=given_mask(rows[MASK], where) if MASK in rows else None,
                delimited=part.delimited,
            )
