"""`MetricWindow`: means over the steps between two log lines, without waiting for the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


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
        # Metrics that always arrive together share a counter and a foreach call.
        self._families: dict[tuple[str, ...], tuple[list[Tensor], int]] = {}

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor]) -> None:
        """Adds one step's metrics.

        Args:
            values: name to a scalar or a vector `[n]`; the same shape at each call.
        """
        names = tuple(values)
        tensors = list(values.values())
        family = self._families.get(names)
        if family is None:
            self._families[names] = ([tensor.detach().float().clone() for tensor in tensors], 1)
            return
        sums, count = family
        torch._foreach_add_(sums, tensors)
        self._families[names] = (sums, count + 1)

    def flush(self) -> dict[str, float]:
        """The means since the last flush; starts a new window."""
        means: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, (sums, count) in self._families.items():
            flat = (torch.cat([one.reshape(-1) for one in sums]) / count).tolist()
            for name, mean in zip(_scalar_names(names, sums), flat, strict=True):
                # A metric that also came in other company, e.g. before a checkpoint of a former version.
                before = counts.get(name, 0)
                counts[name] = before + count
                means[name] = (before * means[name] + count * mean) / counts[name] if before else mean
        self._families.clear()
        return means

    def state_dict(self) -> dict[str, Any]:
        """The unfinished window."""
        return {"families": [(list(names), sums, n) for names, (sums, n) in self._families.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self._families = {tuple(names): (list(sums), n) for names, sums, n in state["families"]}


def _scalar_names(names: tuple[str, ...], sums: list[Tensor]) -> list[str]:
    return [
        scalar
        for name, one in zip(names, sums, strict=True)
        for scalar in ([name] if one.ndim == 0 else [f"{name}/{i}" for i in range(one.numel())])
    ]
