"""Opening what :class:`TedWriter` wrote: a memory-mapped TensorDict whose next rows are gathered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from tensordict import MemoryMappedTensor, TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.data.agent_arrays import PER_ROW
from omiga_torchrl.data.blocks import group_names
from omiga_torchrl.data.following import FollowingRows
from omiga_torchrl.data.ted import FOLLOWING, entry_file


def load_ted(folder: Path) -> TensorDictBase:
    """The transitions in ``folder``, memory-mapped `[T]`; not yet locked.

    What follows a step is gathered when it is asked for, see :class:`FollowingRows`. Where no state is
    stored, it is the observations of all agents in a row: of a team of one group a view of the same memory.
    Teams of several groups always have it stored.

    Args:
        folder: the conversion.
    """
    data = TensorDict.load_memmap(folder).unlock_()
    following, groups = data["next"], group_names(data)
    numbers = data.pop(FOLLOWING).as_subclass(Tensor)
    for name in groups:  # they may hold nothing but agents' own rewards, or not be there
        own = following.get(name, {})
        following.set(name, TensorDict(dict(own.items()), data[name].batch_size))
    for key, rows in row_tensors(folder, data):
        following.set(key, FollowingRows(rows, numbers))
    if data.get(keys.STATE, None) is None:
        (group,) = groups
        data.set(keys.STATE, data[group, "observation"].flatten(1))
        rows = following[group, "observation"].rows
        following.set(keys.STATE, FollowingRows(rows.flatten(1), numbers))
    return data


def row_tensors(folder: Path, data: TensorDictBase) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Entries with one row more per episode than steps, memory-mapped `[T + E, ...]`, those rows last.

    Args:
        folder: the conversion.
        data: its transitions.
    """
    rows = len(data) + int(data[keys.EPISODE][-1]) + 1
    names = [(name, entry) for name in group_names(data) for entry in PER_ROW]
    for key in (*names, keys.key_path(keys.STATE)):
        file, steps = entry_file(folder, key), data.get(key, None)
        if file.exists() and steps is not None:
            shape = torch.Size((rows, *steps.shape[1:]))
            whole = MemoryMappedTensor.from_filename(file, dtype=steps.dtype, shape=shape)
            yield key, whole.as_subclass(Tensor)
