"""Small blocks of episodes put together to larger ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.spans import BLOCK_BYTES


def joined_blocks(parts: Iterable[Episodes], block_bytes: int = BLOCK_BYTES) -> Iterator[Episodes]:
    """Episodes in order, in blocks of at least ``block_bytes`` but for the last one.

    Args:
        parts: of one task, in order; those without a step are left out.
        block_bytes: bytes from which on a block is complete.

    Examples:
        >>> import numpy as np
        >>> ends = np.array([False, True])
        >>> one = Episodes(
        ...     np.zeros((3, 1, 4)), np.zeros((2, 1, 1)), np.ones(2), ends, ~ends & False, np.array([2])
        ... )
        >>> [block.steps for block in joined_blocks([one, one, one])]
        [6]
        >>> [block.steps for block in joined_blocks([one, one, one], block_bytes=1)]
        [2, 2, 2]
    """
    waiting: list[Episodes] = []
    size = 0
    for part in parts:
        if not len(part):
            continue
        waiting.append(part)
        size += sum(values.nbytes for values in part.arrays().values())
        if size >= block_bytes:
            yield Episodes.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield Episodes.concatenate(waiting)
