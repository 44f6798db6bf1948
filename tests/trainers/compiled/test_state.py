"""A step that is not healthy leaves everything as it was."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.trainers.compiled.optimizers import AdamMoments
from omiga_torchrl.trainers.compiled.state import StepState, undo_unless


@pytest.mark.parametrize("healthy", [True, False])
def test_an_unhealthy_step_is_undone(healthy: bool) -> None:
    count = len(AdamMoments._fields)
    old = [AdamMoments(*(torch.full((2,), float(i)) for i in range(count)))]
    new = [AdamMoments(*(torch.full((2,), 10.0 + i) for i in range(count)))]
    before = StepState([torch.tensor([1.0, 2.0])], old)
    tensors = [torch.tensor([float("nan"), 4.0])]
    (moments,) = undo_unless(torch.tensor(healthy), tensors, new, before)
    expected = [float("nan"), 4.0] if healthy else [1.0, 2.0]
    torch.testing.assert_close(tensors[0], torch.tensor(expected), equal_nan=True)
    kept = new[0] if healthy else old[0]
    assert all(torch.equal(one, other) for one, other in zip(moments, kept, strict=True))
