"""Coefficients keep their precision through casts, and follow training after each step."""

from __future__ import annotations

import math

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.objectives.coefficients import CoefficientLoss


class Loss(CoefficientLoss):
    def __init__(self):
        super().__init__()
        self.add_coefficient("alpha", math.pi, "> 0")
        self.add_coefficient("beta", 0, ">= 0")
        self.register_buffer("other", torch.tensor(math.pi, dtype=torch.float64))
        self.weight = torch.nn.Parameter(torch.ones(2))


def test_a_cast_rounds_no_coefficient():
    for loss in (Loss().bfloat16(), Loss().half().double().float(), Loss().to(torch.float16)):
        assert loss.alpha.dtype == torch.float64 and loss.alpha.item() == math.pi
        assert loss.beta.item() == 0.0 and loss.beta.ndim == 0
        assert loss.other.item() != math.pi and loss.weight.dtype != torch.float64


def test_coefficients_follow_to_a_device():
    loss = Loss().to("meta")
    assert loss.alpha.device.type == "meta" and loss.alpha.dtype == torch.float64


def test_coefficients_are_in_their_range_and_part_of_the_state():
    loss = Loss()
    assert {"alpha", "beta"} <= set(loss.state_dict())
    with pytest.raises(ValueError, match=r"Loss: gamma.*in \[0, 1\]"):
        loss.add_coefficient("gamma", 1.5, "in [0, 1]")
    assert not hasattr(loss, "gamma")


def test_only_next_values_are_stored_and_in_place():
    loss = Loss()
    alpha = loss.alpha
    loss.advance(
        TensorDict({"next_alpha": torch.tensor(2.0), "beta": torch.tensor(9.0), "loss_x": torch.tensor(1.0)})
    )
    assert loss.alpha is alpha and alpha == 2.0 and alpha.dtype == torch.float64 and loss.beta == 0
