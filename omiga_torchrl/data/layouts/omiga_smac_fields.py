"""The fields of OMIGA's and MADT's StarCraft episodes, as arrays."""

from __future__ import annotations

from array import array
from typing import Any, Final

import numpy as np
from torch import Tensor

from omiga_torchrl.data.episodes import Array
from omiga_torchrl.data.layouts.guards import as_data_error
from omiga_torchrl.data.layouts.pickled import PickledArray
from omiga_torchrl.errors import DataError

_FIELDS: Final = ("state", "observation", "action", "reward", "done", "action mask")
_SINGLE: Final = ("action", "reward", "done")
# Far above any episode of StarCraft.
_MOST_VALUES: Final = 2**25


def to_arrays(episode: Any, where: str) -> dict[str, Array]:
    """One array `[T, N, F]` per field.

    Args:
        episode: what the file holds, ``episode[agent][step] = [g, o, a, r, d, ava]``.
        where: the file, for messages.

    Raises:
        DataError: it is no such list, or its steps differ in their sizes.
    """
    if not isinstance(episode, list) or not episode or not all(isinstance(a, list) for a in episode):
        raise DataError(f"{where} holds no list of agents; expected episode[agent][step].")
    lengths = sorted({len(agent) for agent in episode})
    if len(lengths) > 1 or not lengths[0]:
        raise DataError(f"{where}: agents have {lengths} steps; expected one length of at least 1.")
    steps = [step for agent in episode for step in agent]
    if not all(isinstance(step, list | tuple) and len(step) == len(_FIELDS) for step in steps):
        raise DataError(f"{where}: expected steps [g, o, a, r, d, ava] of {len(_FIELDS)} entries.")
    fields = {}
    for index, name in enumerate(_FIELDS):
        with as_data_error(f"{where.partition(': ')[2]}: {name}"):
            first = _vector(steps[0][index])
            if first.size * len(steps) > _MOST_VALUES:
                raise ValueError(f"{first.size} values in each of {len(steps)} steps")
            if name in _SINGLE and first.size != 1:
                raise ValueError(f"{first.size} values per agent and step, expected 1")
            values = np.stack([_vector(step[index]) for step in steps])
            fields[name] = values.reshape(len(episode), lengths[0], -1).swapaxes(0, 1)
    return fields


def _vector(value: Any) -> Array:
    """The numbers of one field of one step `[F]`."""
    if isinstance(value, list | tuple):
        # Unlike numpy's, this one takes numbers only: nested lists may be of any size.
        return np.frombuffer(array("d", value))
    if isinstance(value, PickledArray):
        return value.array.reshape(-1)
    return value.numpy().reshape(-1) if isinstance(value, Tensor) else np.array([float(value)])
