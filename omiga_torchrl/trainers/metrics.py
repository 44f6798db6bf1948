"""`MetricWindow`: means over the steps between two log lines, without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

# Steps that are kept as they are before they are summed: adding each by itself costs a tenth of a small step.
_ROWS: Final = 64


class _Family:
    """Sums of metrics that always arrive together.

    Args:
        names: of the metrics.
        sums: of each so far: a scalar or a vector.
        count: steps so far.
        rows: steps among them that are in no sum yet, scalars before vectors.
    """

    def __init__(
        self, names: Sequence[str], sums: Sequence[Tensor], count: int, rows: Sequence[Tensor]
    ) -> None:
        self.names, self.sums, self.count, self.rows = list(names), list(sums), count, list(rows)
        self._scalars = [i for i, one in enumerate(sums) if one.ndim == 0]
        self._vectors = [i for i, one in enumerate(sums) if one.ndim]

    def add(self, values: Sequence[Tensor]) -> None:
        # Copied: what a loss returns may be a tensor that it changes in place.
        parts = [torch.stack([values[i] for i in self._scalars])] if self._scalars else []
        parts += [values[i] for i in self._vectors]
        self.rows.append(torch.cat(parts) if self._vectors else parts[0])
        self.count += 1
        if len(self.rows) == _ROWS:
            self.fold()

    def fold(self) -> None:
        """Puts the rows into the sums."""
        if self.rows:
            order = [*self._scalars, *self._vectors]
            total = torch.stack(self.rows).float().sum(0).split([self.sums[i].numel() for i in order])
            for i, part in zip(order, total, strict=True):
                self.sums[i] = self.sums[i] + part.reshape(self.sums[i].shape)
            self.rows = []

    def means(self) -> dict[str, float]:
        self.fold()
        flat = (torch.cat([one.reshape(-1) for one in self.sums]) / self.count).tolist()
        return dict(zip(_scalar_names(self.names, self.sums), flat, strict=True))


class MetricWindow:
    """Sums metrics on their device; only :meth:`flush` reads them.

    Vectors become one scalar per feature, ``name/0``, ``name/1``, …

    Examples:
        >>> window = MetricWindow()
        >>> window.add({"loss": torch.tensor(1.0)})
        >>> window.add({"loss": torch.tensor(3.0)})
        >>> window.flush()
        {'loss': 2.0}
    """

    def __init__(self) -> None:
        self._families: dict[tuple[str, ...], _Family] = {}

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor]) -> None:
        """Adds one step's metrics.

        Args:
            values: name to a scalar or a vector `[n]`; the same shape at each call.
        """
        names = tuple(values)
        if not names:
            return
        family = self._families.get(names)
        if family is None:
            sums = [torch.zeros_like(value, dtype=torch.float32) for value in values.values()]
            family = self._families[names] = _Family(names, sums, 0, [])
        family.add(tuple(values.values()))

    def flush(self) -> dict[str, float]:
        """The means since the last flush; starts a new window."""
        means: dict[str, float] = {}
        counts: dict[str, int] = {}
        for family in self._families.values():
            for name, mean in family.means().items():
                # A metric that also came in other company, e.g. before a checkpoint of a former version.
                before = counts.get(name, 0)
                counts[name] = before + family.count
                means[name] = (before * means[name] + family.count * mean) / counts[name] if before else mean
        self._families.clear()
        return means

    def state_dict(self) -> dict[str, Any]:
        """The unfinished window."""
        parts = [(one.names, one.sums, one.count, one.rows) for one in self._families.values()]
        return {"families": parts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`, also of a former version, which kept no rows."""
        self._families = {
            tuple(names): _Family(names, sums, count, *(rows or [[]]))
            for names, sums, count, *rows in state["families"]
        }


def _scalar_names(names: Sequence[str], sums: Sequence[Tensor]) -> list[str]:
    return [
        scalar
        for name, one in zip(names, sums, strict=True)
        for scalar in ([name] if one.ndim == 0 else [f"{name}/{i}" for i in range(one.numel())])
    ]
