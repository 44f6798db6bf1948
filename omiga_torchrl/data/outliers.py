"""Few values that decide a standard deviation, beside which all others are as good as 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from omiga_torchrl.data.agent_arrays import Array

# Rows that are looked at: they only have to show what is usual.
_ROWS: Final = 5000
# Share of values that count as usual, around their median.
_USUAL: Final = 0.99
_LEAST_SHARE: Final = 1e-3


def find_dwarfed(values: Tensor, std: float | Sequence[float], *, centred: bool = True) -> list[int]:
    """Features of which 99 in 100 values are below a thousandth of their standard deviation, and not all 0.

    Args:
        values: all rows, features last `[T, ..., F]`; some are read.
        std: standard deviation over all rows, of every feature `[F]`.

    Keyword Args:
        centred: whether sizes are distances from the median, or the values themselves.

    Examples:
        >>> values = torch.linspace(-1, 1, 2000).unsqueeze(-1)
        >>> find_dwarfed(values, [values.std().item()])
        []
        >>> values[7] = 1e9
        >>> find_dwarfed(values, [values.std().item()])
        [0]
    """
    usual, deviation = _usual_size(values, centred), np.asarray(std, np.float64)
    return np.flatnonzero((usual > 0) & (usual < _LEAST_SHARE * deviation)).tolist()


def _usual_size(values: Tensor, centred: bool) -> Array:
    chosen = torch.linspace(0, len(values) - 1, min(_ROWS, len(values))).long()
    rows = values.as_subclass(Tensor)[chosen].reshape(-1, values.shape[-1]).double().numpy()
    if centred:
        rows = rows - np.median(rows, axis=0)
    return np.asarray(np.quantile(np.abs(rows), _USUAL, axis=0, method="lower"))


def told_dwarfed(values: Tensor, std: float, feature: int = 0) -> str:
    """Usual values, the largest one and the deviation, in words.

    Args:
        values: all rows `[T, ..., F]`.
        std: standard deviation of the feature.
        feature: its number.
    """
    one = values.as_subclass(Tensor)[..., feature].reshape(len(values), -1).abs().amax(1)
    row = int(one.argmax())
    return (
        f"99 in 100 values are below a thousandth of the standard deviation {std:.3g}, which a few decide: "
        f"the largest is {one[row]:.3g} in row {row}, the usual one {one.median():.3g}"
    )
