"""`LossCase`: how a contract builds a loss and its data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDictBase
from torchrl.objectives import LossModule

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing.helpers import has_targets, with_fixed_noise


class LossCase:
    """A loss under test. Subclasses of :class:`LossContract` give ``make`` and ``trained``.

    Attributes:
        make: builds the loss with small networks: ``make(spec, **kwargs)``.
        trained: networks that each loss entry trains, by the names of their attributes.
        team_terms: loss entries with one value a row, not one an agent.
        unused_parameters: parameters of a loss entry's networks that cancel in it, by parts of their names.
        samples: True if the loss draws random numbers.
    """

    make: Callable[..., LossModule]
    trained: dict[str, set[str]]
    team_terms: set[str] = {"loss_qvalue"}
    unused_parameters: dict[str, tuple[str, ...]] = {}
    samples = False

    @pytest.fixture(autouse=True)
    def _seed(self) -> None:
        torch.manual_seed(0)

    def fit(self, spec: TeamSpec) -> TeamSpec:
        """The sizes that this loss is tried with, e.g. one agent instead of three."""
        return spec

    def draw(self, spec: TeamSpec, *batch: int) -> TensorDictBase:
        """Random data of these sizes; for a loss along sequences see :func:`sequences`."""
        return spec.fake_batch(*batch)

    def data(self, spec: TeamSpec, *batch: int) -> TensorDictBase:
        """Random data that fit the loss."""
        return self.draw(self.fit(spec), *batch)

    def build(self, spec: TeamSpec, **kwargs: object) -> LossModule:
        """The loss with a target updater, if it has targets, and without chance, if it draws."""
        loss = type(self).make(self.fit(spec), **kwargs)
        if has_targets(loss):
            ForeachSoftUpdate(loss, tau=0.5)
        return with_fixed_noise(loss) if self.samples else loss

    @property
    def bootstraps(self) -> bool:
        """True if the loss has a TD target."""
        return "loss_qvalue" in self.trained
