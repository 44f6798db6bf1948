"""Slices of episodes in which every step of the data is equally likely."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data.replay_buffers import SliceSampler
from torchrl.data.replay_buffers.storages import Storage

from omiga_torchrl import keys
from omiga_torchrl.keys import next_key


class StepSliceSampler(SliceSampler):
    """TorchRL's ``SliceSampler``, but each step of the data is in as many slices as any other.

    TorchRL's draws episodes first, whatever their length, and never lets a slice stick out of its
    episode: steps of short episodes are read more often, and the last step of an episode, where its
    task ends, T times less often than those in the middle. Here the slice begins anywhere from T - 1
    steps before the first to the last step of any episode, and is cut to its episode. Cut slices are
    padded at the end and ``("collector", "mask")`` is False there, which all losses leave out.
    ``is_init`` stays the data's, the first step of an episode, which ComaDICE's values start from; TorchRL's
    sampler writes the first step of every slice there.

    Args:
        slice_len: length T of the slices. The size of a batch must be a multiple of it.
        traj_key: numbers the episodes.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> sampler = StepSliceSampler(slice_len=8)
        >>> dataset = OfflineDataset("vmas/navigation/mixed", batch_size=64, sampler=sampler)
        >>> batch = dataset.sample().reshape(-1, 8)
        >>> batch["next", "reward"].shape, batch["collector", "mask"].shape
        (torch.Size([8, 8, 1]), torch.Size([8, 8]))
    """

    def __init__(self, slice_len: int, *, traj_key: str = keys.EPISODE) -> None:
        super().__init__(
            slice_len=slice_len,
            traj_key=traj_key,
            cache_values=True,
            strict_length=False,
            pad_output=True,
        )

    def _sample_slices(
        self,
        lengths: Tensor,
        start_idx: Tensor,
        stop_idx: Tensor,
        seq_length: int,
        num_slices: int,
        storage_length: int,
        traj_idx: Tensor | None = None,
        *,
        storage: Storage,
    ) -> tuple[tuple[Tensor, ...], dict[Any, Tensor]]:
        windows = (lengths + seq_length - 1).cumsum(0)
        drawn = torch.randint(int(windows[-1]), (num_slices,), generator=self._rng)
        episode = torch.searchsorted(windows, drawn, right=True)
        # Counted from the episode's first step; the windows of episodes lie one behind the other.
        begin = drawn - windows[episode] + lengths[episode]
        stop = torch.minimum(begin + seq_length, lengths[episode])
        begin = begin.clamp(min=0)
        offsets = torch.arange(seq_length)
        real = offsets < (stop - begin).unsqueeze(-1)
        # Padding repeats the slice's last step: any row will do.
        steps = torch.minimum(begin.unsqueeze(-1) + offsets, (stop - 1).unsqueeze(-1))
        index = (start_idx[episode, :1] + steps).flatten() % storage_length
        info = {("collector", "mask"): real.flatten(), **_ends(storage, index, real)}
        return (index,), info


def _ends(storage: Storage, index: Tensor, real: Tensor) -> dict[Any, Tensor]:
    """``done`` and ``truncated`` with the slices' own ends, which are truncations."""
    data = getattr(storage, "_storage", None)
    if not isinstance(data, TensorDictBase):
        return {}
    last = real & ~torch.cat([real[:, 1:], torch.zeros_like(real[:, :1])], 1)
    ended = data.get(next_key(keys.DONE))[index].as_subclass(torch.Tensor) | last.reshape(-1, 1)
    terminated = data.get(next_key(keys.TERMINATED))[index].as_subclass(torch.Tensor)
    return {
        next_key(keys.DONE): ended,
        next_key(keys.TRUNCATED): ended & ~terminated,
        next_key(keys.TERMINATED): terminated,
    }
