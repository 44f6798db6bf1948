"""The content of own data: its checksum, and blocks of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.ted import storable


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

    def hexdigest(self, *told: str) -> str:
        """64 hexadecimal digits.

        Args:
            *told: what else a dataset says, of rows that are not among the transitions.
        """
        found = [f"{name} {one.hexdigest()}" for name, one in sorted(self._hashes.items())] + list(told)
        return hashlib.sha256("\n".join(found).encode()).hexdigest()


def observed(blocks: Iterable[Episodes], digest: ContentDigest) -> Iterator[Episodes]:
    """The blocks, taken into ``digest`` as they pass by."""
    for block in blocks:
        digest.add(block)
        yield block
