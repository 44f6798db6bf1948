"""The content of own data: its checksum, and blocks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.joining import joined_blocks
from omiga_torchrl.data.ted import storable
from omiga_torchrl.errors import DataError


class ContentDigest:
    """A checksum of transitions that is the same however they are cut into blocks.

    Examples:
        >>> import numpy as np
        >>> one = Episodes(
        ...     np.zeros((3, 1, 1)), np.zeros((2, 1, 1)), *np.eye(2), np.zeros(2, bool), np.array([2])
        ... )
        >>> first, second = ContentDigest(), ContentDigest()
        >>> first.add(one), second.add(one.replaced(reward=np.ones(2)))
        (None, None)
        >>> first.hexdigest() == second.hexdigest()
        False
    """

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def add(self, block: Episodes) -> None:
        """Take in a block, in the precision in which it is stored."""
        for name, values in block.arrays().items():
            array = storable(values)
            if name not in self._hashes:
                kind = f"{name} {array.dtype} {array.shape[1:]}"
                self._hashes[name] = hashlib.sha256(kind.encode())
            self._hashes[name].update(array.data)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        found = [f"{name} {one.hexdigest()}" for name, one in sorted(self._hashes.items())]
        return hashlib.sha256("\n".join(found).encode()).hexdigest()


def observed(blocks: Iterable[Episodes], digest: ContentDigest) -> Iterator[Episodes]:
    """The blocks, taken into ``digest`` as they pass by."""
    for block in blocks:
        digest.add(block)
        yield block


def gathered(parts: Iterable[Episodes], where: str) -> Iterator[Episodes]:
    """Small blocks put together to blocks of about ``BLOCK_BYTES``.

    Args:
        parts: in order.
        where: for messages.

    Raises:
        DataError: a part has other arrays or sizes than the first one.
    """
    return joined_blocks(_of_one_kind(parts, where))


def _of_one_kind(parts: Iterable[Episodes], where: str) -> Iterator[Episodes]:
    expected = None
    for index, part in enumerate(parts):
        kind = _kind(part)
        expected = expected or kind
        if kind != expected:
            changed = {name: (kind.get(name), expected.get(name)) for name in kind.keys() ^ expected.keys()}
            changed |= {
                name: (kind[name], expected[name])
                for name in kind.keys() & expected.keys()
                if kind[name] != expected[name]
            }
            told = "; ".join(
                f"{name!r} is {got}, was {first}" for name, (got, first) in sorted(changed.items())
            )
            raise DataError(
                f"{where}: part {index} of the data differs from the first one: {told}. Are all episodes of "
                "one task, with the same arrays?"
            )
        yield part


def _kind(part: Episodes) -> dict[str, str]:
    """Type and features of every array."""
    kinds = {"b": "booleans", "f": "floats", "i": "whole numbers", "u": "whole numbers"}
    return {
        name: f"{kinds[values.dtype.kind]} of {tuple(values.shape[1:])}"
        for name, values in part.arrays().items()
    }
