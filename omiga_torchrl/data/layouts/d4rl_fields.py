"""The fields of D4RL's files, checked against each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.hdf5_fields import Field, find_fields
from omiga_torchrl.errors import DataError

FIELDS: Final = ("observations", "actions", "rewards", "terminals")
OPTIONAL: Final = ("timeouts", "next_observations")


def open_fields(file: Any, path: Path) -> dict[str, Field]:
    """The fields, checked against each other.

    Args:
        file: the open file.
        path: where it is, for messages.

    Raises:
        DataError: discrete actions; or everything that does not fit, in one message.
    """
    fields, found = find_fields(file, FIELDS, path, optional=OPTIONAL)
    sizes = {name: field.shape for name, field in fields.items()}
    for name, shape in sizes.items():
        wide = name in ("observations", "next_observations", "actions")
        fits = len(shape) == 2 if wide else len(shape) in (1, 2) and math.prod(shape[1:]) == 1
        if name == "actions" and fields[name].dtype.kind in "iub":
            raise DataError(
                f"OfflineDataset: {path}: 'actions' must be floats in this layout, got {fields[name].dtype}: "
                "it does not say how many discrete actions there are. Read the file's arrays, and pass them "
                "to OfflineDataset.from_arrays(..., n_actions=)."
            )
        if not fits or 0 in shape:
            found.append(f"{name!r} has shape {shape}, expected {'(R, features)' if wide else '(R,)'}")
        else:
            like = sizes.get("observations", shape)
            if shape[:1] != like[:1] or (name == "next_observations" and shape != like):
                found.append(f"{name!r} has shape {shape}, 'observations' {like}")
    fix = f"Expected the fields {', '.join(FIELDS)}. Is the file complete?"
    require(found, f"OfflineDataset: {path}", fix)
    return fields


def idle_rows(fields: dict[str, Field], piece: int) -> Array:
    """Rows `[R]` without action and reward.

    Args:
        fields: of the open file.
        piece: rows to read at a time.
    """
    idle = np.zeros(len(fields["rewards"]), bool)
    for start in range(0, len(idle), piece):
        part = slice(start, start + piece)
        idle[part] = ~fields["actions"][part].any(1) & (fields["rewards"][part].reshape(-1) == 0)
    return idle
