"""d3rlpy's dumps: one HDF5 file with the arrays of every episode under a name with its number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.joining import gathered
from omiga_torchrl.data.layouts.base import (
    BLOCK_BYTES,
    Layout,
    Reading,
    ReadOptions,
    relabel_ends,
    require,
    to_floats,
)
from omiga_torchrl.data.layouts.hdf5 import holds_fields, open_hdf5
from omiga_torchrl.data.layouts.hdf5_fields import Field, find_fields
from omiga_torchrl.data.layouts.left_out import LeftOut
from omiga_torchrl.data.layouts.registry import register_layout
from omiga_torchrl.data.layouts.steps import steps_to_episodes, whole_actions
from omiga_torchrl.errors import DataError

_COUNT: Final = "num_episodes"
_FIELDS: Final = ("actions", "rewards", "terminated")


@register_layout("d3rlpy", priority=55)
class D3rlpyLayout(Layout):
    """Files of d3rlpy 2's ``ReplayBuffer.dump``, read as a team of one.

    Episode 3 has ``observations_3`` (of several spaces ``observations_3_0``, ..., which become one vector),
    ``actions_3``, ``rewards_3`` and ``terminated_3``. What was seen after the last step is not stored: of an
    episode that did not terminate it is left out, as in d3rlpy. Discrete actions are as many as the largest
    one says, as in d3rlpy, too.
    """

    summary: ClassVar[str] = "HDF5 file of d3rlpy's ReplayBuffer.dump with observations_0, actions_0, ..."
    ignores: ClassVar[tuple[str, ...]] = ("delimiter_rows",)

    def matches(self, path: Path) -> bool:
        """Whether it is an HDF5 file that counts its episodes as d3rlpy does."""
        return holds_fields(path, (_COUNT, "columns", "version"))

    def read(self, path: Path, options: ReadOptions) -> Reading:
        """Check the first episode, then stream; the others are checked as they come.

        Raises:
            DataError: fields that are missing or do not fit, or observations that are images.
        """
        with open_hdf5(path) as file:
            episodes = _count_episodes(file, path)
            first = _open_episode(file, 0, path)
            is_discrete = first["actions"].dtype.kind != "f"
            n_actions = _count_actions(file, episodes, path) if is_discrete else None
        left_out = LeftOut()
        parts = _episodes(path, episodes, n_actions, options, left_out)
        blocks = gathered(parts, f"OfflineDataset: {path}", BLOCK_BYTES)
        return Reading(blocks, n_actions=n_actions, left_out=left_out)


def _count_episodes(file: Any, path: Path) -> int:
    fields, found = find_fields(file, [_COUNT], path)
    require(found, f"OfflineDataset: {path}")
    count = fields[_COUNT].read()
    if count.shape or count.dtype.kind not in "iu" or not 0 < count <= len(file):
        raise DataError(
            f"OfflineDataset: {path}: {_COUNT!r} is {count.tolist()!r:.40}, the file has {len(file)} "
            "entries. Is it complete? Dump it again."
        )
    return int(count)


def _open_episode(file: Any, number: int, path: Path) -> dict[str, Field]:
    """The fields of an episode, observations of several spaces in their order."""
    seen = [f"observations_{number}"]
    if seen[0] not in file and f"{seen[0]}_0" in file:
        seen, name = [], seen[0]
        while f"{name}_{len(seen)}" in file:
            seen.append(f"{name}_{len(seen)}")
    names = [*seen, *(f"{name}_{number}" for name in _FIELDS)]
    fields, found = find_fields(file, names, path)
    actions = fields.get(f"actions_{number}")
    rows = actions.shape[:1] if actions else ()
    for name, field in fields.items():
        if name.startswith("terminated"):
            expected, fits = "()", field.shape == ()
        elif name.startswith("rewards"):
            expected, fits = f"{rows} or {(*rows, 1)}", field.shape in (rows, (*rows, 1))
        else:
            expected, fits = (
                f"{rows} or {(*rows, 'F')}",
                field.shape[:1] == rows and len(field.shape) in (1, 2),
            )
        if not fits or not rows or 0 in field.shape:
            found.append(f"{name!r} has shape {field.shape}, expected {expected}")
    if actions is not None and actions.dtype.kind in "iu" and actions.shape not in (rows, (*rows, 1)):
        found.append(f"'actions_{number}' are whole numbers of shape {actions.shape}, expected one a step")
    require(found, f"OfflineDataset: {path}", "Is it complete, and are observations vectors? Dump it again.")
    keys = [*(f"observations/{part}" for part in range(len(seen))), *_FIELDS]
    return {key: fields[name] for key, name in zip(keys, names, strict=True)}


def _count_actions(file: Any, episodes: int, path: Path) -> int:
    """One more than the largest action of all."""
    largest = -1
    for number in range(episodes):
        where = f"OfflineDataset: {path}: 'actions_{number}'"
        actions = _open_episode(file, number, path)["actions"].read()
        largest = max(largest, int(whole_actions(actions.reshape(-1, 1), None, where).max()))
    return largest + 1


def _episodes(
    path: Path, episodes: int, n_actions: int | None, options: ReadOptions, left_out: LeftOut
) -> Iterator[Episodes]:
    with open_hdf5(path) as file:
        for number in range(episodes):
            fields = {name: field.read() for name, field in _open_episode(file, number, path).items()}
            where = f"OfflineDataset: {path}: episode {number}"
            seen = [to_floats(_columns(values)) for name, values in fields.items() if name.startswith("obs")]
            action, ended = _columns(fields["actions"]), bool(fields["terminated"] != 0)
            steps = len(action)
            flags = np.arange(steps) == steps - 1
            terminated, _ = relabel_ends(flags & ended, flags & (not ended), np.array([steps]), options)
            yield steps_to_episodes(
                np.concatenate(seen, 1)[:, None],
                action[:, None] if n_actions is None else whole_actions(action, n_actions, where),
                to_floats(fields["rewards"].reshape(-1)),
                terminated[-1:],
                np.array([steps]),
                left_out=left_out,
            )


def _columns(values: Array) -> Array:
    return values.reshape(len(values), -1)
