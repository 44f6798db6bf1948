"""Small blocks of episodes put together to larger ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from omiga_torchrl.data.episodes import Episodes
from omiga_torchrl.data.spans import BLOCK_BYTES
from omiga_torchrl.errors import DataError


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


def gathered(parts: Iterable[Episodes], where: str, block_bytes: int = BLOCK_BYTES) -> Iterator[Episodes]:
    """Small blocks put together to larger ones, if all have the arrays and sizes of the first.

    Args:
        parts: in order.
        where: for messages.
        block_bytes: bytes from which on a block is complete.

    Raises:
        DataError: a part has other arrays or sizes than the first one.
    """
    return joined_blocks(_of_one_kind(parts, where), block_bytes)


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
