"""Mean and standard deviation of features that pass by block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from omiga_torchrl.data.episodes import Array

# Rows that are summed in their own precision before double precision takes over.
_CHUNK = 1024


@dataclass
class RunningMoments:
    """Mean and standard deviation per feature over everything that was added.

    Attributes:
        count: values added per feature.

    Examples:
        >>> moments = RunningMoments()
        >>> moments.add(np.array([[1.0], [3.0]]))
        >>> moments.add(np.array([[5.0]]))
        >>> moments.mean, moments.std.round(4)
        (array([3.]), array([1.633]))
        >>> moments.add(np.full((3, 1), 3000, np.float16))
        >>> moments.mean
        array([1501.5])
    """

    count: int = 0
    _shift: Array | float = 0.0
    _sum: Array | float = 0.0
    _squares: Array | float = 0.0

    def add(self, values: Array) -> None:
        """Add values `[..., F]`; all dimensions but the last are counted together."""
        features = values.shape[-1]
        if values.dtype.itemsize < 4:  # squares of half precision overflow from 256 on
            values = values.astype(np.float32)
        # Wide rows are summed faster; agents are put together at the end.
        rows = values.reshape(len(values), math.prod(values.shape[1:]))
        if not self.count and len(rows):
            # Squares of values far from 0 would drown their spread.
            self._shift = rows[0, :features].astype(np.float64)
        shift = np.resize(np.asarray(self._shift, values.dtype), rows.shape[1])
        for chunk in (rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)):
            with np.errstate(invalid="ignore"):  # infinity is seen in the mean
                chunk = chunk - shift
            total, squares = np.einsum("ij->j", chunk), np.einsum("ij,ij->j", chunk, chunk)
            self._sum = self._sum + total.astype(np.float64).reshape(-1, features).sum(0)
            self._squares = self._squares + squares.astype(np.float64).reshape(-1, features).sum(0)
        self.count += values.size // features

    @property
    def mean(self) -> Array:
        """Mean `[F]`."""
        return np.asarray(self._shift + self._sum / self.count)

    @property
    def std(self) -> Array:
        """Standard deviation `[F]`, of the values themselves (not of a population behind them)."""
        return np.asarray(
            np.sqrt(np.maximum(self._squares / self.count - (self._sum / self.count) ** 2, 0.0))
        )
