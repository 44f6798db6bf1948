"""The tensors of a batch, in the order of its entries."""

from __future__ import annotations

from typing import Any

from tensordict import NestedKey, TensorDictBase
from torch import Tensor

Signature = tuple[Any, ...]


def batch_leaves(batch: TensorDictBase) -> dict[NestedKey, Tensor]:
    """The tensors of a batch by their keys, contiguous and without subclasses.

    Args:
        batch: any TensorDict; entries that are no tensors are left out.

    Examples:
        >>> from tensordict import TensorDict
        >>> list(batch_leaves(TensorDict({"x": 1.0, "next": {"y": 2.0}})))
        [('x',), ('next', 'y')]
    """
    leaves: dict[NestedKey, Tensor] = {}
    _collect(batch, (), leaves)
    return leaves


def _collect(batch: TensorDictBase, prefix: tuple[str, ...], leaves: dict[NestedKey, Tensor]) -> None:
    for name, value in batch.items():
        if isinstance(value, Tensor):
            plain = value if type(value) is Tensor else value.as_subclass(Tensor)
            leaves[(*prefix, name)] = plain.contiguous()
        elif isinstance(value, TensorDictBase):
            _collect(value, (*prefix, name), leaves)


def signature(batch: TensorDictBase, leaves: dict[NestedKey, Tensor]) -> Signature:
    """Kind of batch that a traced step is made for: keys, shapes, dtypes and devices.

    Args:
        batch: the batch.
        leaves: its tensors.
    """
    return (batch.batch_size, *((key, v.shape, v.dtype, v.device) for key, v in leaves.items()))
