"""A storage that reads batches two to three times faster than TorchRL's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import TensorStorage

from omiga_torchrl.data.following import FollowingRows


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
        self._entries: dict[int, _Entry] = {}
        self._sample_device: torch.device | None = None
        self._copies: dict[tuple[int, torch.dtype, torch.Size], Tensor] = {}

    def sample_on(self, device: torch.device | None) -> None:
        """Gathers rows on a device, to which the entries are copied when they are first asked for.

        Args:
            device: of the rows that :meth:`get` gives; ``None``: the storage's own.
        """
        self._sample_device = device
        self._entries.clear()
        self._copies.clear()

    def get(self, index: Any) -> Any:
        """The rows at `index`, as new tensors."""
        rows = index[0] if isinstance(index, tuple) and len(index) == 1 else index
        data = self._storage
        simple = isinstance(rows, Tensor) and rows.ndim == 1 and rows.dtype in (torch.int64, torch.int32)
        if not (simple and self._is_full and isinstance(data, TensorDictBase)):
            return super().get(index)
        if self._sample_device is not None:
            rows = rows.to(self._sample_device)
        return self._gather(data, rows, {})

    def _gather(self, data: TensorDictBase, rows: Tensor, following: dict[int, Tensor]) -> TensorDictBase:
        """`data[rows]`, nested batch sizes included; ``following`` keeps the rows behind ``rows``."""
        gathered: dict[str, Any] = {}
        for name, value in data.items():
            entry = self._entries.get(id(value))
            if entry is not None and entry.value is value:
                gathered[name] = entry.gather(rows, following)
            elif isinstance(value, TensorDictBase):
                gathered[name] = self._gather(value, rows, following)
            else:
                gathered[name] = self._remember(value).gather(rows, following)
        # The sizes are right by construction; checking them again doubles the cost.
        batch_size = torch.Size((rows.shape[0], *data.batch_size[1:]))
        return TensorDict._new_unsafe(
            gathered, batch_size=batch_size, device=self._sample_device or data.device
        )

    def _remember(self, value: Tensor) -> _Entry:
        if len(self._entries) > 1000:  # a storage that makes its tensors anew each time
            self._entries.clear()
        entry = self._entries[id(value)] = _Entry(value, self._placed)
        return entry

    def _placed(self, value: Tensor) -> Tensor:
        """A tensor on the device of the samples; one that several entries share is copied once."""
        # Without the subclass: a MemoryMappedTensor dispatches every call through Python.
        plain = value if type(value) is Tensor else value.as_subclass(Tensor)
        if self._sample_device is None:
            return plain
        which = plain.data_ptr(), plain.dtype, plain.shape
        if which not in self._copies:
            self._copies[which] = plain.to(self._sample_device)
        return self._copies[which]


class _Entry:
    """A tensor `[T, ...]`, and how its rows are gathered best.

    Args:
        value: in memory or memory-mapped, or rows that follow others.
        placed: where the rows are gathered from.
    """

    def __init__(self, value: Tensor, placed: Callable[[Tensor], Tensor]) -> None:
        self.value = value
        self._numbers = placed(value.numbers) if isinstance(value, FollowingRows) else None
        rows = placed(value.rows if isinstance(value, FollowingRows) else value)
        # A column takes twice the time of what is not one.
        self._is_column = rows.shape[1:] == (1,)
        self._rows = rows.squeeze(-1) if self._is_column else rows

    def gather(self, rows: Tensor, following: dict[int, Tensor]) -> Tensor:
        """The rows as a new tensor."""
        if self._numbers is not None:
            which = id(self._numbers)
            if which not in following:
                following[which] = self._numbers.index_select(0, rows)
            rows = following[which]
        found = self._rows.index_select(0, rows)
        return found.unsqueeze_(-1) if self._is_column else found
