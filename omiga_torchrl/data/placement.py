"""Keeping data where the networks are, so that a step moves row numbers to the device and nothing else."""

from __future__ import annotations

import logging
from typing import Final

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.data import ReplayBuffer

from omiga_torchrl.data.storage import IndexSelectStorage

_LOG = logging.getLogger(__name__)

# Of the device's free memory: the rest is for networks, temporaries and other runs.
SHARE: Final = 0.5


def keep_on_device(buffer: ReplayBuffer, device: torch.device) -> bool:
    """Lets a buffer gather its samples on a GPU, if its data fit into half of the memory that is free there.

    The same rows are drawn as without it: the sampler stays where it was. Only buffers with an
    :class:`omiga_torchrl.data.IndexSelectStorage`, such as :class:`omiga_torchrl.data.OfflineDataset`, can.

    Args:
        buffer: the buffer; its data stay where they are, too.
        device: of the samples.

    Returns:
        Whether samples are gathered on ``device``. If not, they have to be moved.

    Examples:
        >>> from omiga_torchrl.data import OfflineDataset
        >>> keep_on_device(OfflineDataset("vmas/navigation/mixed", batch_size=8), torch.device("cpu"))
        False
    """
    storage = getattr(buffer, "_storage", None)
    if device.type != "cuda" or not isinstance(storage, IndexSelectStorage):
        return False
    needed = _bytes(storage._storage) if isinstance(storage._storage, TensorDictBase) else 0
    free = torch.cuda.mem_get_info(device)[0]
    if needed > SHARE * free:
        _LOG.info(
            "data: %.1f GB do not fit into half of the %.1f GB that are free on %s; batches are moved there.",
            needed / 1e9,
            free / 1e9,
            device,
        )
        return False
    storage.sample_on(device)
    return True


def _bytes(data: TensorDictBase) -> int:
    leaves = (value for value in data.values(True, True) if isinstance(value, Tensor))
    return sum(value.numel() * value.element_size() for value in leaves)
