"""Runs of episodes that are read and written together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omiga_torchrl.data.agent_arrays import Array

# Bytes of one block: large enough that Python costs nothing, and in the processor's cache while it is looked
# at and written.
BLOCK_BYTES: Final = 4 * 2**20


def block_spans(lengths: Array, row_bytes: int, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, int]]:
    """Split episodes into runs ``[first, last)`` of about :data:`BLOCK_BYTES` each.

    Args:
        lengths: steps of every episode `[E]`.
        row_bytes: bytes of one step.
        block_bytes: bytes of a run; a longer episode is a run of its own.

    Examples:
        >>> import numpy as np
        >>> list(block_spans(np.array([10, 10, 10]), row_bytes=2**17))
        [(0, 3)]
        >>> list(block_spans(np.array([40, 10, 10]), row_bytes=2**17))
        [(0, 1), (1, 3)]
    """
    first, size = 0, 0
    for index, length in enumerate(lengths.tolist()):
        if size and size + length * row_bytes > block_bytes:
            yield first, index
            first, size = index, 0
        size += length * row_bytes
    if first < len(lengths):
        yield first, len(lengths)
