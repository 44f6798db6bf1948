"""Where the episodes of OMIGA's multi-agent MuJoCo files end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import ReadOptions
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.hdf5_fields import Field, ends_of
from omiga_torchrl.data.layouts.idle_rewards import leave_out_rewards
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.row_ends import RowEnds, require_may_stop


def find_episodes(
    fields: dict[str, Field], path: Path, options: ReadOptions, notes: EndNotes
) -> tuple[RowEnds, Array]:
    """Episodes that have a step, with the row behind it, which ``d`` marks; and other rows with a mark.

    Args:
        fields: of the open file.
        path: where it is, for messages.
        options: ``incomplete``.
        notes: takes in what is dropped.

    Raises:
        DataError: the last episode has no end.
    """
    rows, last = len(fields["d"]), ends_of(fields["d"])
    start = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    behind = int(last[-1]) + 1 if len(last) else 0
    cut = np.zeros(len(last), bool)
    if behind < rows:
        marks = np.zeros(rows, bool)
        marks[last] = True
        require_may_stop(marks, options, f"OfflineDataset: {path}")
        start, last, cut = np.append(start, behind), np.append(last, rows - 1), np.append(cut, True)
    # A single row is no step: there is nothing before it.
    whole = last > start
    notes.drop("delimiter rows without an episode", int((~whole).sum()))
    notes.drop("delimiter rows", int((whole & ~cut).sum()))
    alone = start[~whole]
    start, last, cut = start[whole], last[whole], cut[whole]
    return RowEnds(start, last + 1 - start, np.ones(len(start), bool), ~cut, cut), alone


def count_alone(rewards: Field, rows: Array, options: ReadOptions, path: Path, left_out: LeftOut) -> None:
    """Take in rewards of rows with a mark that no step comes before.

    Args:
        rewards: the field.
        rows: numbers of such rows.
        options: ``team_reward``.
        path: the file, for messages.
        left_out: takes them in.
    """
    if len(rows):
        reward = np.concatenate([rewards[row : row + 1] for row in rows.tolist()]).reshape(len(rows), -1)
        reward = reward[(reward != 0).any(1)]
        one = np.ones(len(reward), np.int64)
        leave_out_rewards(reward, one, one > 0, options, f"OfflineDataset: {path}", left_out)
