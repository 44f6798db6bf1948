"""The fields of OMIGA's multi-agent MuJoCo files, checked against each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.hdf5_fields import Field, find_fields
from omiga_torchrl.data.layouts.omiga_mujoco_writing import PIECE_BYTES
from omiga_torchrl.errors import DataError

FIELDS: Final = ("s", "o", "a", "r", "d")
# Not in the published files: where agents come and go.
MASK: Final = "agent_mask"

# Rows that are compared when a file is opened, in as many places.
_SAMPLE_ROWS, _SAMPLE_PLACES = 256, 64


def open_fields(file: Any, path: Path) -> dict[str, Field]:
    """All five fields, and the mask of agents where there is one.

    Args:
        file: the open file.
        path: where it is, for messages.

    Raises:
        DataError: everything that does not fit, in one message.
    """
    fields, found = find_fields(file, FIELDS, path, optional=(MASK,))
    shapes = {name: field.shape for name, field in fields.items()}
    for name, field in fields.items():
        dimensions = {"s": (2, 3), "o": (3,), "a": (3,), MASK: (2,)}.get(name, (1, 2, 3))
        if field.dtype.kind != "f" and name not in ("d", MASK):
            found.append(f"{name!r} has type {field.dtype}, expected floats")
        if len(field.shape) not in dimensions or 0 in field.shape:
            found.append(f"{name!r} has shape {field.shape}, expected {dimensions[-1]} dimensions, none 0")
        elif name == "d" and math.prod(field.shape[1:]) != 1:
            found.append(f"'d' has shape {field.shape}, expected one flag per row")
    if not found:
        rows, agents = shapes["o"][:2]
        per_agent = {"a": (agents,), MASK: (agents,), "s": (agents,) if len(shapes["s"]) == 3 else ()}
        for name, shape in shapes.items():
            expected = (rows, *per_agent.get(name, ()))
            if shape[: len(expected)] != expected:
                found.append(f"{name!r} has shape {shape}, 'o' has {shapes['o']}")
        if math.prod(shapes["r"][1:]) not in (1, agents):
            found.append(f"'r' has shape {shapes['r']}, expected one reward per row, or one per agent")
    require(
        found, f"OfflineDataset: {path}", f"Expected the fields {', '.join(FIELDS)}. Is the file complete?"
    )
    return fields


def same_rows(fields: dict[str, Field]) -> bool:
    """Whether ``s`` is ``o``: in all rows of a small file, in many places of a large one.

    Args:
        fields: of :func:`open_fields`.
    """
    s, o = fields["s"], fields["o"]
    if s.shape != o.shape or s.dtype != o.dtype:
        return False
    last = max(len(o) - _SAMPLE_ROWS, 0)
    for start in np.unique(np.linspace(0, last, min(_SAMPLE_PLACES, last + 1)).astype(int)).tolist():
        part = slice(start, start + _SAMPLE_ROWS)
        if not np.array_equal(s[part], o[part], equal_nan=True):
            return False
    return True


class Comparison:
    """Holds ``s`` to ``o`` piece by piece, in memory that is used again and again.

    Args:
        field: ``s``.
    """

    def __init__(self, field: Field) -> None:
        row = math.prod(field.shape[1:]) * field.dtype.itemsize
        self._field = field
        self._piece = np.empty((max(1, PIECE_BYTES // row), *field.shape[1:]), field.dtype)

    def __call__(self, observation: Array, start: int) -> None:
        """Raise unless ``s`` equals some rows of ``o``.

        Args:
            observation: the rows.
            start: number of the first one.

        Raises:
            DataError: it does not.
        """
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
