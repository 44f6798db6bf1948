"""The StarCraft data of OMIGA and MADT: a folder with one file of ``torch.save`` per episode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.joining import joined_blocks
from omiga_torchrl.data.layouts.base import Layout, Reading, ReadOptions, split_ends, to_team_reward
from omiga_torchrl.data.layouts.end_notes import EndNotes
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.npy import to_single
from omiga_torchrl.data.layouts.omiga_smac_fields import to_arrays
from omiga_torchrl.data.layouts.pickled import is_torch_file, load_pickled
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.steps import steps_to_episodes, whole_actions
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError


@register_layout("omiga-smac", priority=10)
class OmigaSmacLayout(Layout):
    """Episodes as OMIGA and MADT load them: ``episode[agent][step] = [g, o, a, r, d, ava]``.

    The team's state is the states ``g`` of all agents in a row. An episode ended where all agents
    are done (``d``); dead agents are done before. What was seen after the last step is not stored:
    see :func:`~omiga_torchrl.data.layouts.steps.steps_to_episodes`. Time-outs are not told apart.

    Files are read in the order of their names. None of the code that they may hold is run.
    """

    summary: ClassVar[str] = "OMIGA's and MADT's StarCraft data: folder with a torch.save file per episode"
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether the first file of the folder is one of ``torch.save``."""
        try:
            return path.is_dir() and any(is_torch_file(file) for file in _files(path)[:1])
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the first episode, then stream all of them.

        Args:
            path: the folder.
            options: how it is read.

        Raises:
            DataError: no files, or files that are damaged, hold code, or differ in their sizes.
            ValueError: ``timeout_is_terminal=False`` without ``max_steps``.
        """
        files = _files(path)
        if not files:
            raise DataError(f"OfflineDataset: {path} holds no files; expected one per episode.")
        found = LeftOut(), EndNotes()
        first, sizes = _read_episode(files[0], options, *found)
        blocks = joined_blocks(_episodes(files, first, sizes, options, *found), BLOCK_BYTES)
        return Reading(blocks, n_actions=sizes["action mask"], left_out=found[0], ends=found[1])


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))


def _episodes(
    files: list[Path],
    first: Episodes,
    sizes: dict[str, int],
    options: ReadOptions,
    left_out: LeftOut,
    notes: EndNotes,
) -> Iterator[Episodes]:
    yield first
    for file in files[1:]:
        episode, found = _read_episode(file, options, left_out, notes)
        if found != sizes:
            raise DataError(
                f"OfflineDataset: {file} has sizes {found}, {files[0].name} has {sizes}. "
                "Is it of another map?"
            )
        yield episode


def _read_episode(
    file: Path, options: ReadOptions, left_out: LeftOut, notes: EndNotes
) -> tuple[Episodes, dict[str, int]]:
    """The episode of a file, and the number of agents and of features per agent and field."""
    where = f"OfflineDataset: {file}"
    with as_data_error(file):
        fields = to_arrays(load_pickled(file), where)
    done = (fields["done"][..., 0] != 0).all(1)
    steps = len(done)
    if done[:-1].any():
        raise DataError(f"{where}: all agents are done in step {done.argmax()}, but it has {steps} steps.")
    if not done[-1] and options.incomplete == "error":
        raise DataError(
            f"{where}: not all agents are done in its last step, {steps - 1}. Pass incomplete='truncated' to "
            "end it there as a time-out."
        )
    length = np.array([steps])
    terminated, _ = split_ends(done, length, options)
    if done[-1] or steps > 1:  # or nothing is left of it
        notes.cut.append(~done[-1:])
    mask = fields["action mask"] != 0
    episode = steps_to_episodes(
        to_single(fields["observation"]),
        whole_actions(fields["action"][..., 0], mask.shape[-1], where),
        to_team_reward(to_single(fields["reward"][..., 0]), options, where),
        terminated[-1:],
        length,
        action_mask=mask,
        state=to_single(fields["state"]).reshape(steps, -1),
        left_out=left_out,
    )
    return episode, {"agents": mask.shape[1]} | {name: a.shape[-1] for name, a in fields.items()}
