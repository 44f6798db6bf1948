"""Half precision becomes single; everything else stays what it is."""

from __future__ import annotations

import torch

from omiga_torchrl.functional.precision import at_least_single


def test_only_half_precision_changes():
    for half in (torch.bfloat16, torch.float16):
        found = at_least_single(torch.tensor([0.5, 2.0], dtype=half))
        assert found.dtype == torch.float32 and found.tolist() == [0.5, 2.0]
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, dtype=dtype)
        assert at_least_single(x) is x


def test_a_gradient_goes_through():
    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    (3 * at_least_single(x)).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.dtype == torch.bfloat16
