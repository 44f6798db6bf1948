"""Losses under `torch.compile`, `torch.func.vmap` and autocast."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.testing.helpers import SPECS, has_targets, losses_of, without_shape_checks
from omiga_torchrl.testing.loss_case import LossCase


class TransformContract(LossCase):
    """Tests of a loss inside of torch's transforms; Dynamo traces it whole, and state stays as it is."""

    @pytest.mark.slow
    @SPECS
    def test_compiles_whole_at_two_batch_sizes(self, spec):
        torch._dynamo.reset()
        loss = type(self).make(self.fit(spec))
        if has_targets(loss):
            ForeachSoftUpdate(loss, tau=0.5)
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        with without_shape_checks():
            for size in (6, 4):
                data = self.data(spec, size)
                torch.manual_seed(1)
                expected = losses_of(loss(data))
                torch.manual_seed(1)
                for key, value in losses_of(compiled(data)).items():
                    torch.testing.assert_close(value, expected[key], msg=str(key))

    @SPECS
    def test_vmaps_over_batches(self, spec):
        loss = self.build(spec)
        batches = [self.data(spec, 4) for _ in range(2)]
        found = torch.func.vmap(lambda data: losses_of(loss(data)), randomness="same")(torch.stack(batches))
        self._assert_stacked(found, [losses_of(loss(data)) for data in batches])

    @SPECS
    def test_vmaps_over_parameters(self, spec):
        loss, data = self.build(spec), self.data(spec, 4)
        params = TensorDict.from_module(loss).data
        stacked = torch.stack(
            [params.clone(), params.apply(lambda x: 1.1 * x if x.is_floating_point() else x)]
        )

        def evaluate(parameters: TensorDict) -> dict[str, Tensor]:
            with parameters.to_module(loss):
                return losses_of(loss(data))

        found = torch.func.vmap(evaluate, randomness="same")(stacked)
        self._assert_stacked(found, [evaluate(parameters) for parameters in stacked.unbind(0)])

    def _assert_stacked(self, found: dict[str, Tensor], expected: list[dict[str, Any]]) -> None:
        for key, value in found.items():
            torch.testing.assert_close(value, torch.stack([one[key] for one in expected]), msg=str(key))

    @SPECS
    def test_is_finite_in_half_precision(self, spec):
        loss, data = self.build(spec), self.data(spec, 8)
        if not self.fit(spec).discrete:
            data["agents", "action"][0] = 1.0  # at the bounds
            data["agents", "action"][1] = -1.0
        with torch.autocast("cpu", torch.bfloat16):
            out = losses_of(loss(data))
        torch.stack([value.float() for value in out.values()]).sum().backward()
        assert all(value.isfinite() for value in out.values())
        assert all(p.grad is None or p.grad.isfinite().all() for p in loss.parameters())

    @SPECS
    def test_forward_changes_no_state(self, spec):
        loss = self.build(spec)
        before = {key: value.clone() for key, value in loss.state_dict().items() if isinstance(value, Tensor)}
        loss(self.data(spec, 8))
        for key, value in before.items():
            assert value.equal(loss.state_dict()[key]), key
