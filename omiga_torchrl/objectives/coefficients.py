"""`CoefficientLoss`: a loss module whose scalar coefficients keep their precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from tensordict import TensorDictBase
from torch import Tensor, nn
from torchrl.objectives.common import LossModule

from omiga_torchrl.errors import require_number


class CoefficientLoss(LossModule):
    """Base of :class:`omiga_torchrl.objectives.TeamLoss`: scalar buffers that no cast rounds."""

    def __init__(self) -> None:
        super().__init__()
        self._coefficients: list[str] = []

    def add_coefficient(self, name: str, value: float, expected: str) -> None:
        """Register a scalar buffer that keeps its full precision whatever dtype the loss is cast to.

        Args:
            name: attribute; numbers assigned to it are written in place if ``_schedulable_buffers`` has it.
            value: the number.
            expected: its range, see :func:`omiga_torchrl.errors.require_number`.
        """
        require_number(type(self).__name__, expected, **{name: value})
        self.register_buffer(name, torch.tensor(float(value), dtype=torch.float64))
        self._coefficients.append(name)

    def _apply(self, fn: Callable[[Tensor], Tensor]) -> nn.Module:
        precise = {name: cast(Tensor, self._buffers[name]) for name in self._coefficients}
        super()._apply(fn)
        for name, old in precise.items():
            self._buffers[name] = old.to(cast(Tensor, self._buffers[name]).device)
        return self

    def advance(self, out: TensorDictBase) -> None:
        """Store the next values of coefficients that follow training, once after every optimizer step.

        ``forward`` changes no state: an adaptive coefficient is in its output as ``next_<name>``.
        """
        for key in list(out.keys()):
            if key.startswith("next_"):
                getattr(self, key.removeprefix("next_")).data.copy_(out.get(key))
