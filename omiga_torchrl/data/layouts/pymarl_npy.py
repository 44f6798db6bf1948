"""PyMARL's padded episodes as a folder of ``.npy`` files, one per field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import Counts, Layout, Reading, ReadOptions
from omiga_torchrl.data.layouts.guards import as_data_error, new_folder
from omiga_torchrl.data.layouts.npy import NpyFile
from omiga_torchrl.data.layouts.padded import read_padded
from omiga_torchrl.data.layouts.padded_fields import PADDED_FIELDS, Readable
from omiga_torchrl.data.layouts.padded_groups import PaddedGroups, padded_blocks
from omiga_torchrl.data.layouts.padded_writing import write_padded
from omiga_torchrl.data.layouts.registry import register_layout

# Our own: the groups that the team was put together from.
_GROUPS: Final = "groups.json"
# Of a field with one row per step where observations have one more.
_OF_STEPS: Final = ("actions", "filled", "reward", "terminated")


@register_layout("pymarl-npy", priority=30)
class PymarlNpyLayout(Layout):
    """A folder with ``obs.npy``, ``state.npy``, ``actions.npy`` and so on `[E, T1, ...]`.

    The fields are those of PyMARL's episode batches, see
    :func:`~omiga_torchrl.data.layouts.padded.padded_to_episodes`. Actions, rewards, ends and
    ``filled`` may also have one row less per episode than the observations.
    """

    summary: ClassVar[str] = "PyMARL's padded episodes: folder with obs.npy, state.npy, actions.npy, ..."
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether there are the fields that no other layout has."""
        try:
            return all((path / f"{name}.npy").is_file() for name in ("obs", "actions", "avail_actions"))
        except OSError:
            return False

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the fields, then stream them.

        Raises:
            DataError: fields are missing, damaged, or of wrong types or sizes.
        """
        found = [name for name in PADDED_FIELDS if (path / f"{name}.npy").is_file()]
        files = {name: NpyFile.open(path / f"{name}.npy") for name in found}
        reading = read_padded(dict(_same_rows(files)), f"OfflineDataset: {path}", options)
        if not (path / _GROUPS).is_file() or isinstance(options.groups, Mapping):
            return reading  # by number agents are of the padded team
        with as_data_error(path / _GROUPS):
            told = json.loads((path / _GROUPS).read_text())
        where = f"OfflineDataset: {path / _GROUPS}"
        return PaddedGroups.from_dict(told, where).reading(reading, where)

    def write(self, path: Path, blocks: Iterable[Episodes], *, n_actions: Counts = None) -> None:
        """Write episodes as padded ``.npy`` files.

        Reading them gives the same episodes, with floats in single precision, but for what the
        fields have no room for: no mask becomes one that allows everything, no state becomes the
        observations of all agents in a row, and an end that is both a termination and a time-out
        is a termination. All episodes take as much room as the longest. Several groups are written as
        one team, filled up with zeros, and read as groups again.

        Args:
            path: the folder.
            blocks: whole episodes with discrete actions, e.g. of
                :func:`omiga_torchrl.data.blocks.episode_blocks`.
            n_actions: number of actions K, needed where episodes have no mask.

        Raises:
            FileExistsError: there is something at ``path``.
            DataError: actions are continuous, there is no transition, or sizes change.

        Examples:
            >>> import tempfile
            >>> ends = np.array([False, True])
            >>> episode = Episodes(
            ...     np.zeros((3, 2, 4)), np.zeros((2, 2), int), np.ones(2), ends, ~ends & False, np.array([2])
            ... )
            >>> path = Path(tempfile.mkdtemp()) / "toy"
            >>> layout = PymarlNpyLayout()
            >>> layout.write(path, [episode], n_actions=3)
            >>> layout.read(path, ReadOptions()).steps
            2
        """
        team, groups, count = padded_blocks(blocks, n_actions)
        with new_folder(path) as folder:
            write_padded(folder, team, count)
            if groups is not None:
                (folder / _GROUPS).write_text(json.dumps(groups.to_dict()))


@dataclass(frozen=True)
class _OneRowMore:
    """A field with one row per step, with a last row behind the steps of every episode."""

    file: NpyFile
    is_filled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.file.shape[0], self.file.shape[1] + 1, *self.file.shape[2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.file.dtype

    def __getitem__(self, index: slice) -> Array:
        values = self.file[index]
        # What was seen after the last step is there: an observation more than steps is filled.
        parts = [values[:, :1], values] if self.is_filled else [values, np.zeros_like(values[:, :1])]
        return np.concatenate(parts, 1)


def _same_rows(files: dict[str, NpyFile]) -> Iterator[tuple[str, Readable]]:
    rows = files["obs"].shape[1:2] if "obs" in files else ()
    for name, file in files.items():
        fewer = name in _OF_STEPS and rows and file.shape[1:2] == (rows[0] - 1,) and rows[0] > 1
        yield name, _OneRowMore(file, name == "filled") if fewer else file
