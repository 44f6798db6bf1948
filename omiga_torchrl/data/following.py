"""Next observations, gathered from the observations where they are asked for instead of stored again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

# What is said of a tensor without reading it.
_FACTS: Final = {
    "size", "dim", "stride", "numel", "nelement", "element_size", "__len__", "is_floating_point",
    "is_complex", "storage_offset", "is_contiguous", "get_device",
}  # fmt: skip
_FACT_ATTRIBUTES: Final = {
    "shape", "dtype", "device", "ndim", "layout", "requires_grad", "is_leaf", "grad_fn", "is_cuda",
    "is_sparse", "is_quantized", "is_meta", "is_nested", "itemsize", "nbytes",
}  # fmt: skip


class FollowingRows(Tensor):
    """The row after each of T steps as a tensor `[T, ...]` that takes no memory.

    An index along the first dimension reads the rows that it names; whatever else is done with the tensor
    makes a plain one of it first, of all T rows. It cannot be written to.

    Args:
        rows: of all steps in order and then the last ones of the episodes in order `[T + E, ...]`.
        numbers: of the rows that follow a step, integers `[T]`.

    Examples:
        >>> two_episodes = torch.tensor([10.0, 11, 20, 12, 21])  # of two steps, and of one
        >>> following = FollowingRows(two_episodes, torch.tensor([1, 3, 4]))
        >>> following.shape, following[1:], following.sum()
        (torch.Size([3]), tensor([12., 21.]), tensor(44.))
    """

    rows: Tensor
    numbers: Tensor

    @staticmethod
    def __new__(cls, rows: Tensor, numbers: Tensor) -> FollowingRows:
        """A tensor of the sizes that the rows would have."""
        return torch.Tensor._make_wrapper_subclass(
            cls, (len(numbers), *rows.shape[1:]), dtype=rows.dtype, device=rows.device
        )

    def __init__(self, rows: Tensor, numbers: Tensor) -> None:
        self.rows, self.numbers = rows, numbers

    def __tensor_flatten__(self) -> tuple[list[str], Tensor]:
        """The tensors behind it, by which PyTorch and TensorDict count bytes."""
        return ["rows"], self.numbers

    @staticmethod
    def __tensor_unflatten__(
        inner: Mapping[str, Tensor], numbers: Tensor, size: Any, stride: Any
    ) -> FollowingRows:
        """The reverse of ``__tensor_flatten__``."""
        return FollowingRows(inner["rows"], numbers)

    def whole(self) -> Tensor:
        """All T rows as a plain tensor."""
        return self.rows.index_select(0, self.numbers)

    def _at(self, steps: Tensor) -> Tensor:
        found = self.rows.index_select(0, self.numbers.index_select(0, steps.reshape(-1)))
        return found.reshape(*steps.shape, *self.rows.shape[1:])

    def _indexed(self, index: Any) -> Tensor:
        first, *rest = index if isinstance(index, tuple) else (index,)
        # Several index tensors are taken together, which concerns all dimensions.
        if any(isinstance(one, Tensor | Sequence) or hasattr(one, "__array__") for one in rest):
            return self.whole()[index]
        steps = _steps(first, len(self.numbers))
        if steps is None:
            return self.whole()[index]
        found = self._at(steps)
        return found[(*[slice(None)] * steps.ndim, *rest)] if rest else found

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answers what needs no row, reads those that are asked for, and all for anything else."""
        given, name = dict(kwargs or {}), getattr(func, "__name__", "")
        owner = getattr(getattr(func, "__self__", None), "__name__", "")
        asked = args[0] if args and isinstance(args[0], FollowingRows) else None
        if asked is not None:
            if name in _FACTS or (name == "__get__" and owner in _FACT_ATTRIBUTES):
                with torch._C.DisableTorchFunctionSubclass():
                    return func(*args, **given)
            if name == "is_shared":
                return asked.rows.is_shared()
            if name == "__getitem__":
                return asked._indexed(args[1])
            if name == "index_select" and (len(args) == 3 and args[1] == 0):
                return asked._at(args[2])
            if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
                raise RuntimeError(
                    f"FollowingRows: {name} writes to rows that are gathered, not stored. Write to a copy: "
                    "clone() makes one."
                )
        return func(*(_plain(one) for one in args), **{key: _plain(one) for key, one in given.items()})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """As a plain tensor, for what does not come by way of Python."""
        given = {key: _plain(one) for key, one in (kwargs or {}).items()}
        return func(*(_plain(one) for one in args), **given)


def _plain(value: Any) -> Any:
    if isinstance(value, FollowingRows):
        return value.whole()
    if type(value) in (list, tuple):
        return type(value)(_plain(one) for one in value)
    return value


def _steps(index: Any, steps: int) -> Tensor | None:
    """The numbers of the steps that an index along the first dimension names; ``None``: it is another one."""
    if isinstance(index, bool) or index is None or index is Ellipsis:
        return None
    if isinstance(index, slice):
        start, stop, step = index.indices(steps)
        return torch.arange(start, max(start, stop), step) if step > 0 else None
    found = torch.as_tensor(index)
    if found.dtype == torch.bool:
        return found.nonzero().squeeze(-1) if found.shape == (steps,) else None
    if found.is_floating_point() or (
        found.numel() and not -steps <= int(found.min()) <= int(found.max()) < steps
    ):
        return None
    return torch.where(found < 0, found + steps, found)
