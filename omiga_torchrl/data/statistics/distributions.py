"""Values in short: their spread and their histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omiga_torchrl.data.episodes import Array

# As many as OG-MARL's histograms have.
BINS = 40


@dataclass(frozen=True)
class Spread:
    """Smallest and largest value, mean, and the population's standard deviation (divisor n).

    Examples:
        >>> Spread.of(np.array([1.0, 3.0]))
        Spread(minimum=1.0, maximum=3.0, mean=2.0, std=1.0)
    """

    minimum: float
    maximum: float
    mean: float
    std: float

    @classmethod
    def of(cls, values: Array) -> Spread:
        """The spread of at least one value, computed in double precision."""
        values = values.astype(np.float64)
        return cls(float(values.min()), float(values.max()), float(values.mean()), float(values.std()))


@dataclass(frozen=True)
class Histogram:
    """Counts between successive edges; a value on an edge belongs to the right, on the last to the left.

    Attributes:
        edges: `B + 1` equally spaced edges.
        counts: `B` counts.

    Examples:
        >>> Histogram.of(np.array([0, 0, 3]), whole_edges(0, 3))
        Histogram(edges=(-0.5, 0.5, 1.5, 2.5, 3.5), counts=(2, 0, 0, 1))
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: Array, edges: Array) -> Histogram:
        """The histogram of values, none of which is outside the edges."""
        return cls(tuple(edges.tolist()), tuple(count_between(values, edges).tolist()))


def count_between(values: Array, edges: Array) -> Array:
    """How many values are between successive, equally spaced edges.

    Args:
        values: `[n]`.
        edges: `[B + 1]`.
    """
    return np.histogram(values.astype(np.float64), len(edges) - 1, (edges[0], edges[-1]))[0]


def even_edges(low: float, high: float) -> Array:
    """Edges of ``BINS`` bins from `low` to `high`; of width 1 in all if these are the same.

    Args:
        low: smallest value.
        high: largest value.
    """
    return np.histogram_bin_edges(np.empty(0), BINS, (low, high))


def whole_edges(low: int, high: int, bins: int = BINS) -> Array:
    """Edges half-way between whole numbers, of at most `bins` bins.

    Args:
        low: smallest value.
        high: largest value.
        bins: how many bins at most.

    Examples:
        >>> whole_edges(3, 4), whole_edges(1, 5, bins=3)
        (array([2.5, 3.5, 4.5]), array([0.5, 2.5, 4.5, 6.5]))
    """
    width = -(-(int(high) - int(low) + 1) // bins)
    return np.arange(int(low), int(high) + width + 1, width) - 0.5
