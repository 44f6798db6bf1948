"""The tensors of a loss in one list, and the loss with other tensors in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tensordict import NestedKey, TensorDictBase, TensorDictParams
from torch import Tensor, nn

Place = tuple[nn.Module, str, str, NestedKey | None]  # module, kind, name, key of a TensorDict


class LossTensors:
    """Parameters, targets and buffers of a loss, each once, in a fixed order.

    Args:
        loss: any module; TorchRL's losses, whose networks are functional, included.

    Attributes:
        tensors: the live tensors.

    Examples:
        >>> loss = nn.Linear(2, 1)
        >>> known = LossTensors(loss)
        >>> with known.replaced_by([value * 0 + 1 for value in known.tensors]):
        ...     float(loss.weight.detach().sum())
        2.0
        >>> known.index(loss.bias)
        1
    """

    def __init__(self, loss: nn.Module) -> None:
        self.tensors: list[Tensor] = []
        self._index: dict[int, int] = {}
        self._places: list[tuple[Place, int]] = []
        self._trees: list[tuple[nn.Module, str, TensorDictParams]] = []
        self._visit(loss)

    def index(self, tensor: Tensor) -> int:
        """The place of a tensor of the loss in :attr:`tensors`.

        Args:
            tensor: the live tensor itself.

        Raises:
            KeyError: it is not one of the loss's.
        """
        return self._index[id(tensor)]

    @contextmanager
    def replaced_by(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Inside the block the loss computes with ``tensors`` instead of its own.

        Args:
            tensors: in the order of :attr:`tensors`; what the block changes in place stays changed in them.
        """
        trees = {id(tree): _plain(tree) for _, _, tree in self._trees}
        for (module, kind, name, key), index in self._places:
            if key is None:
                getattr(module, kind)[name] = tensors[index]
            else:
                trees[id(module._modules[name])].set(key, tensors[index])
        children = {id(module): (module, dict(module._modules)) for module, _, _ in self._trees}
        for module, name, tree in self._trees:
            del module._modules[name]
            module.__dict__[name] = trees[id(tree)]
        try:
            yield
        finally:
            for module, name, _ in self._trees:
                module.__dict__.pop(name, None)
            for module, kept in children.values():  # in their old order
                module._modules.clear()
                module._modules.update(kept)
            for (module, kind, name, key), index in self._places:
                if key is None:
                    getattr(module, kind)[name] = self.tensors[index]

    def _visit(self, module: nn.Module) -> None:
        for kind in ("_parameters", "_buffers"):
            for name, value in getattr(module, kind).items():
                if value is not None:
                    self._add((module, kind, name, None), value)
        for name, child in module._modules.items():
            if isinstance(child, TensorDictParams):
                self._trees.append((module, name, child))
                for key, value in child.items(True, True):
                    self._add((module, "_modules", name, key), value)
            elif child is not None:
                self._visit(child)

    def _add(self, place: Place, value: Any) -> None:
        if id(value) not in self._index:
            self._index[id(value)] = len(self.tensors)
            self.tensors.append(value)
        self._places.append((place, self._index[id(value)]))


def _plain(tree: TensorDictParams) -> TensorDictBase:
    """A TensorDict of the same structure, whose nodes are its own."""
    return tree.data.clone(recurse=False)
