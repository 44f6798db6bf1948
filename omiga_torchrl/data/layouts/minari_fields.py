"""The fields of episodes in Minari's files, checked against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.hdf5_fields import Field, find_fields
from omiga_torchrl.data.layouts.minari_metadata import METADATA
from omiga_torchrl.data.layouts.minari_spaces import entry_order
from omiga_torchrl.errors import DataError

DATA: Final = "data/main_data.hdf5"
FLAGS: Final = ("terminations", "truncations")

# Shape of one step, or of one observation, by field.
Shapes = dict[str, tuple[int, ...]]


def episode_names(file: Any, metadata: dict[str, Any], path: Path) -> list[str]:
    """The groups of all episodes, by their numbers.

    Args:
        file: the open file.
        metadata: says how many there are.
        path: the folder, for messages.

    Raises:
        DataError: there are not as many.
    """
    with as_data_error(path / DATA):
        numbers = sorted(int(name[8:]) for name in file if re.fullmatch(r"episode_\d{1,18}", name))
    expected = metadata.get("total_episodes", len(numbers))
    if not numbers or len(numbers) != expected:
        raise DataError(
            f"OfflineDataset: {path}: {DATA} holds {len(numbers)} episodes, {METADATA} says {expected}. "
            "Is it complete? Fetch it again."
        )
    return [f"episode_{number}" for number in numbers]


def find_shapes(file: Any, name: str, path: Path) -> Shapes:
    """The fields of an episode, with the entries of its observations in order.

    Args:
        file: the open file.
        name: of the episode's group.
        path: the folder, for messages.
    """

    def leaves(at: str) -> Iterator[str]:
        if hasattr(file[at], "keys"):
            for key in sorted(file[at], key=entry_order):
                yield from leaves(f"{at}/{key}")
        else:
            yield at[len(name) + 1 :]

    with as_data_error(path / DATA):
        # Without observations their absence is found where all fields are opened.
        names = list(leaves(f"{name}/observations")) if f"{name}/observations" in file else ["observations"]
    fields, _ = find_fields(file, [f"{name}/{leaf}" for leaf in (*names, "actions")], path)
    shapes = {leaf: fields[f"{name}/{leaf}"].shape[1:] for leaf in names if f"{name}/{leaf}" in fields}
    action = fields.get(f"{name}/actions")
    return {leaf: shapes.get(leaf, ()) for leaf in names} | {
        "actions": action.shape[1:] if action else (),
        "rewards": (),
        **dict.fromkeys(FLAGS, ()),
    }


def open_episode(file: Any, name: str, shapes: Shapes, path: Path) -> dict[str, Field]:
    """All fields of an episode.

    Args:
        file: the open file.
        name: of the episode's group.
        shapes: of all fields.
        path: the folder, for messages.

    Raises:
        DataError: everything that does not fit, in one message.
    """
    fields, found = find_fields(file, [f"{name}/{leaf}" for leaf in shapes], path)
    fields = {full[len(name) + 1 :]: field for full, field in fields.items()}
    rewards = fields["rewards"].shape if "rewards" in fields else ()
    for leaf, field in fields.items():
        rows = (rewards[0] + leaf.startswith("observations"),) if rewards else field.shape[:1]
        if not field.shape or field.shape != (*rows, *shapes[leaf]) or 0 in shapes[leaf]:
            found.append(f"'{name}/{leaf}' has shape {field.shape}, expected {(*rows, *shapes[leaf])}")
    action = fields.get("actions")
    if (
        action is not None
        and action.dtype.kind != "f"
        and (action.dtype.kind not in "iu" or shapes["actions"])
    ):
        found.append(
            f"'{name}/actions' has type {action.dtype} and shape {action.shape}, expected floats, or one "
            "whole number per step"
        )
    require(found, f"OfflineDataset: {path / DATA}")
    return fields
