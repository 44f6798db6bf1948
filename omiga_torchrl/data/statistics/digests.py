"""Digests of rows: unique rows are counted without keeping or sorting the rows themselves."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from omiga_torchrl.data.episodes import Array

Digests = npt.NDArray[np.uint64]

# Rows are taken in blocks so small that the intermediate results stay in the processor's cache.
_BLOCK_WORDS = 1 << 17
# The increment and the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
_STEP = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def row_digests(*parts: Array) -> Digests:
    """128 bits for every row, equal for equal rows.

    Numbers are compared exactly, but 0 and -0 are the same number. A row is the entries of all
    parts together, in order.

    .. note:: Two given rows that differ have the same digest with probability about 2^-128, so
        that n rows are counted wrongly with probability of about n^2 2^-129: 10^-25 for ten
        million rows. The hash is fast, not cryptographic: whoever knows it can make rows collide.

    Args:
        parts: arrays `[rows, ...]` of floats, integers or booleans; row for row.

    Returns:
        `[rows, 2]`.

    Examples:
        >>> digests = row_digests(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]]))
        >>> (digests[0] == digests[1]).any(), (digests[0] == digests[2]).all()
        (np.False_, np.True_)
    """
    rows = len(parts[0])
    words = sum(math.prod(part.shape[1:]) for part in parts)
    place = _mix(np.arange(1, words + 1, dtype=np.uint64) * _STEP)
    odd = _mix(place.copy()) | np.uint64(1)
    out = np.empty((rows, 2), np.uint64)
    block = max(1, _BLOCK_WORDS // max(words, 1))
    for start in range(0, rows, block):
        span = slice(start, start + block)
        # Every entry is mixed with its place, so that the sum depends on the order of the entries.
        mixed = np.concatenate([_words(part[span]) for part in parts], axis=1)
        mixed += place
        _mix(mixed)
        out[span, 0] = mixed.sum(1)
        out[span, 1] = mixed @ odd
    # Mixed again, so that a digest that is itself part of a row is no sum of what it was made of.
    return _mix(out)


def count_unique(digests: Digests) -> int:
    """The number of different digests.

    Args:
        digests: `[rows, 2]`.

    Examples:
        >>> count_unique(row_digests(np.array([[0.5], [0.0], [-0.0], [0.5]])))
        2
    """
    if not len(digests):
        return 0
    first, second = digests[:, 0], digests[:, 1]
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    return 1 + int(((first[1:] != first[:-1]) | (second[1:] != second[:-1])).sum())


def _words(part: Array) -> Digests:
    flat = part.reshape(len(part), -1)
    if flat.dtype.kind == "f":
        # -0 + 0 is 0.
        return (flat + flat.dtype.type(0)).view(f"u{flat.itemsize}").astype(np.uint64)
    return flat.astype(np.int64).view(np.uint64)


def _mix(values: Digests) -> Digests:
    """SplitMix64's finaliser, in place."""
    for shift, factor in _ROUNDS:
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values
