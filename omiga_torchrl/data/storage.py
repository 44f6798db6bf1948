"""A storage that reads batches two to three times faster than TorchRL's."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import TensorStorage

from omiga_torchrl.data.following import FollowingRows, Successors


class IndexSelectStorage(TensorStorage):
    """A :class:`torchrl.data.TensorStorage` that gathers rows with ``index_select``.

    Advanced indexing (``data[index]``) is most of the cost of sampling a batch;
    ``index_select`` gives the same rows for a fraction of it. Everything but
    one-dimensional integer indices is left to TorchRL. Indices must not be negative.

    Args:
        storage: a TensorDict `[T]`, in memory or memory-mapped.

    Examples:
        >>> from tensordict import TensorDict
        >>> storage = IndexSelectStorage(TensorDict({"x": torch.arange(5)}, [5]))
        >>> storage.get(torch.tensor([3, 1]))["x"]
        tensor([3, 1])
    """

    def __init__(self, storage: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(storage, *args, **kwargs)
        self._plain_leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def get(self, index: Any) -> Any:
        """The rows at `index`, as new tensors."""
        rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        data = self._storage
        simple = isinstance(rows, Tensor) and rows.ndim == 1 and rows.dtype in (torch.int64, torch.int32)
        if not (simple and self._is_full and isinstance(data, TensorDictBase)):
            return super().get(index)
        return self._gather(data, rows, rows.shape[0], {})

    def _gather(
        self, data: TensorDictBase, rows: Tensor, size: int, following: dict[Successors, Tensor]
    ) -> TensorDictBase:
        """`data[rows]`, nested batch sizes included; ``following`` keeps the rows behind ``rows``."""
        gathered: dict[str, Any] = {}
        for name, value in data.items():
            if isinstance(value, TensorDictBase):
                gathered[name] = self._gather(value, rows, size, following)
            elif isinstance(value, FollowingRows):
                successors = value.successors
                if successors not in following:
                    following[successors] = successors(rows)
                gathered[name] = value.rows.index_select(0, following[successors])
            else:
                gathered[name] = self._plain(value).index_select(0, rows)
        # The sizes are right by construction; checking them again doubles the cost.
        return TensorDict._new_unsafe(
            gathered, batch_size=torch.Size((size, *data.batch_size[1:])), device=data.device
        )

    def _plain(self, leaf: Tensor) -> Tensor:
        """The same memory without the subclass: a MemoryMappedTensor dispatches every call through Python."""
        if type(leaf) is Tensor:
            return leaf
        known = self._plain_leaves.get(id(leaf))
        if known is None or known[0] is not leaf:
            if len(self._plain_leaves) > 1000:  # a storage that makes its leaves anew each time
                self._plain_leaves.clear()
            known = self._plain_leaves[id(leaf)] = (leaf, leaf.as_subclass(Tensor))
        return known[1]
