"""Episodes as the rows of OMIGA's multi-agent MuJoCo files."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from omiga_torchrl.data.episodes import Array, Episodes
from omiga_torchrl.data.layouts.base import require
from omiga_torchrl.data.layouts.guards import require_plain
from omiga_torchrl.errors import DataError

# What is compared or stored together.
PIECE_BYTES: Final = 2**20


def to_rows(block: Episodes) -> dict[str, Array]:
    """The fields of ``block``, row by row."""
    require_plain("OmigaMujocoLayout", block, has_presence=True)
    rows, agents = block.observation.shape[:2]
    found = []
    if block.action_mask is not None:
        found.append("'action_mask' has no place in it")
    if block.action.dtype.kind != "f":
        found.append(f"'action' has type {block.action.dtype}, expected floats")
    if block.state is not None and block.state.shape[1] % agents:
        found.append(
            f"'state' has {block.state.shape[1]} features, which {agents} agents cannot share evenly"
        )
    require(found, "OmigaMujocoLayout", "Write another layout.")
    last = np.cumsum(block.length + 1) - 1
    step = np.delete(np.arange(rows), last)
    action = np.zeros((rows, *block.action.shape[1:]), np.float32)
    reward, done = np.zeros((2, rows, 1), np.float32)
    action[step], reward[step, 0], done[last] = block.action, block.reward, 1
    state = block.observation if block.state is None else block.state.reshape(rows, agents, -1)
    presence = {} if block.agent_mask is None else {"agent_mask": block.agent_mask.astype(np.float32)}
    return {"s": state, "o": block.observation, "a": action, "r": reward, "d": done, **presence}


def append_rows(file: Any, rows: dict[str, Array]) -> None:
    """Append rows to the fields of an open HDF5 file; fields are made at the first call.

    Raises:
        DataError: a field has another size than before.
    """
    for name, values in rows.items():
        if name not in file:
            row = 4 * math.prod(values.shape[1:])
            file.create_dataset(
                name,
                (0, *values.shape[1:]),
                "f4",
                maxshape=(None, *values.shape[1:]),
                chunks=(max(1, PIECE_BYTES // row), *values.shape[1:]),
            )
        dataset = file[name]
        if dataset.shape[1:] != values.shape[1:]:
            raise DataError(
                f"OmigaMujocoLayout: {name!r} changes from {dataset.shape[1:]} to {values.shape[1:]} within "
                "the episodes. Are they of one task?"
            )
        dataset.resize(len(dataset) + len(values), 0)
        dataset[len(dataset) - len(values) :] = values
