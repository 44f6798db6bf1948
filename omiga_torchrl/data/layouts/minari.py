"""Minari's single-agent datasets: a folder with an HDF5 file that has one group per episode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.joining import joined_blocks
from omiga_torchrl.data.layouts.base import BLOCK_BYTES, Layout, Reading, ReadOptions, relabel_ends, to_floats
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.hdf5 import is_hdf5, open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field
from omiga_torchrl.data.layouts.minari_fields import (
    DATA,
    FLAGS,
    Shapes,
    episode_names,
    find_shapes,
    open_episode,
)
from omiga_torchrl.data.layouts.minari_metadata import METADATA, check_spaces, read_metadata
from omiga_torchrl.data.layouts.minari_spaces import Space, box_bounds, space_of, to_vectors
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.steps import whole_actions
from omiga_torchrl.errors import DataError


@register_layout("minari", priority=50)
class MinariLayout(Layout):
    """A folder with ``data/main_data.hdf5`` and ``data/metadata.json``, read as a team of one.

    Observations that are dictionaries or tuples become one vector: their entries in the order of their
    sorted keys, or of their numbers, nested ones too. Numbers of categories, of ``Discrete`` and
    ``MultiDiscrete`` spaces, become one-hot, as Gymnasium flattens them. The bounds of actions are those of
    their space. Images, texts, actions that are neither floats nor one number counted from 0, and
    Minari's other format, arrow, are refused.
    """

    summary: ClassVar[str] = f"folder of Minari with {DATA} and {METADATA}"
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether the folder has Minari's files."""
        try:
            return is_hdf5(path / DATA) or read_metadata(path).get("data_format") == "arrow"
        except DataError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the description and the first episode, then stream; the others are checked as they come.

        Raises:
            DataError: not in HDF5, fields that are missing or do not fit, or an episode without an end.
        """
        metadata = read_metadata(path)
        action, observation = check_spaces(metadata, path)
        count, (low, high) = action.get("n"), box_bounds(action)
        is_count = action.get("type") == "Discrete" and isinstance(count, int) and count > 0
        n_actions = count if is_count else None
        with open_hdf5(path / DATA) as file:
            names = episode_names(file, metadata, path)
            shapes = find_shapes(file, names[0], path)
            open_episode(file, names[0], shapes, path)
        steps, size = metadata.get("total_steps"), (path / DATA).stat().st_size
        # A number that cannot be: no step takes less than a byte.
        known = steps if isinstance(steps, int) and 0 < steps < size else None
        notes = EndNotes()
        episodes = _episodes(path, names, shapes, observation, n_actions, options, notes)
        return Reading(
            joined_blocks(episodes, BLOCK_BYTES),
            known,
            n_actions,
            action_low=low,
            action_high=high,
            ends=notes,
        )


def _episodes(
    path: Path,
    names: list[str],
    shapes: Shapes,
    space: Space,
    n_actions: int | None,
    options: ReadOptions,
    notes: EndNotes,
) -> Iterator[Episodes]:
    kind = None
    with open_hdf5(path / DATA) as file:
        for name in names:
            fields = open_episode(file, name, shapes, path)
            if not len(fields["rewards"]):
                continue
            at = f"OfflineDataset: {path}: {name}"
            episode = _read_episode(fields, at, space, n_actions, options, notes)
            kind = kind or episode.action.dtype
            if episode.action.dtype != kind:
                raise DataError(
                    f"{at}: 'actions' are {episode.action.dtype}, {kind} before. "
                    "Are all episodes of one task?"
                )
            yield episode


def _read_episode(
    fields: dict[str, Field],
    where: str,
    space: Space,
    n_actions: int | None,
    options: ReadOptions,
    notes: EndNotes,
) -> Episodes:
    seen = {leaf: field.read() for leaf, field in fields.items() if leaf.startswith("observations")}
    steps = len(fields["rewards"])
    flat = [to_vectors(values, space_of(space, leaf), f"{where}: {leaf}") for leaf, values in seen.items()]
    terminated, truncated = (fields[name].read() != 0 for name in FLAGS)
    cut = not (terminated | truncated)[-1]
    notes.cut.append(np.array([cut]))
    if cut:
        if options.incomplete == "error":
            raise DataError(
                f"{where} has no end: neither 'terminations' nor 'truncations' are true in its last step. "
                "incomplete='truncated' closes it there."
            )
        truncated[-1] = True
    length = np.array([steps])
    terminated, truncated = relabel_ends(terminated, truncated & ~terminated, length, options)
    return Episodes(
        observation=np.concatenate(flat, 1)[:, None],
        action=_actions(fields["actions"].read(), where, n_actions),
        reward=to_floats(fields["rewards"].read()),
        terminated=terminated,
        truncated=truncated,
        length=length,
    )


def _actions(actions: Array, where: str, n_actions: int | None) -> Array:
    """Floats `[T, 1, A]` or integers `[T, 1]`."""
    if actions.dtype.kind == "f":
        return actions.reshape(len(actions), 1, -1)
    return whole_actions(actions[:, None], n_actions, where)
