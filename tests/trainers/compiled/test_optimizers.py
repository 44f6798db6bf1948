"""Adam and AdamW as equations equal PyTorch's, and say what they do not know."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from omiga_torchrl.trainers.compiled.optimizers import (
    AdamMoments,
    AdamSettings,
    adam_update,
    optimizer_state,
    read_settings,
)

KINDS = [torch.optim.Adam, torch.optim.AdamW]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_steps_are_pytorch_s(kind: Any, decay: float) -> None:
    torch.manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
    mine = theirs.detach().clone()
    optimizer = kind([theirs], lr=0.1, betas=(0.7, 0.8), eps=0.01, weight_decay=decay)
    ((_, settings),) = read_settings(optimizer).values()
    zero = torch.zeros_like(mine)
    moments = AdamMoments(zero, zero, torch.tensor(0.0))
    for step in range(1, 5):
        theirs.grad = torch.randn_like(theirs)
        rate = 0.1 / step
        optimizer.param_groups[0]["lr"] = rate
        mine, moments = adam_update(
            mine, theirs.grad, moments, torch.tensor(rate, dtype=torch.float64), settings
        )
        optimizer.step()
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-9, atol=1e-9)
    assert moments.step == 4
    torch.testing.assert_close(moments.exp_avg, optimizer.state[theirs]["exp_avg"], rtol=1e-9, atol=1e-9)


def test_the_first_two_steps_by_hand() -> None:
    """Gradients 2 and -1 with betas 0.5 and 0.75, and eps 1."""
    settings, lr = AdamSettings(0.5, 0.75, 1.0, 0.0, False), torch.tensor(0.1, dtype=torch.float64)
    start = AdamMoments(torch.zeros(1), torch.zeros(1), torch.tensor(0.0))
    parameter, moments = adam_update(torch.ones(1), torch.tensor([2.0]), start, lr, settings)
    torch.testing.assert_close(parameter, torch.tensor([1 - 0.1 * 2 / (2 + 1)]))
    assert moments.exp_avg == 1.0 and moments.exp_avg_sq == 1.0 and start.step == 0
    parameter, moments = adam_update(parameter, torch.tensor([-1.0]), moments, lr, settings)
    mean, square = 0.0, 1.0  # 1 + 0.5 (-1 - 1), 0.75 + 0.25
    assert moments.exp_avg == mean and moments.exp_avg_sq == square and moments.step == 2


def test_settings_are_of_each_parameter_s_group() -> None:
    one, two, three = (torch.nn.Parameter(torch.ones(1)) for _ in range(3))
    optimizer = torch.optim.Adam(
        [{"params": [one, two]}, {"params": [three], "betas": (0.5, 0.6), "eps": 0.1, "weight_decay": 0.2}]
    )
    found = read_settings(optimizer)
    assert found[id(one)] == found[id(two)] == (0, AdamSettings(0.9, 0.999, 1e-8, 0, False))
    assert found[id(three)] == (1, AdamSettings(0.5, 0.6, 0.1, 0.2, False)) and len(found) == 3


def test_decay_is_decoupled_in_adamw_and_on_demand() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    for optimizer, expected in (
        (torch.optim.AdamW([weight]), True),
        (torch.optim.Adam([weight]), False),
        (torch.optim.Adam([weight], decoupled_weight_decay=True), True),
    ):
        assert read_settings(optimizer)[id(weight)][1].decoupled is expected
    for kind in KINDS:
        optimizer = kind([weight])
        optimizer.param_groups[0].pop("decoupled_weight_decay", None)  # as older versions of PyTorch
        assert read_settings(optimizer)[id(weight)][1].decoupled is (kind is torch.optim.AdamW)


def test_other_optimizers_and_options_are_refused() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=r"compile='step' must have Adam or AdamW, got SGD"):
        read_settings(torch.optim.SGD([weight], lr=0.1))
    for option in ("amsgrad", "maximize"):
        with pytest.raises(ValueError, match=rf"must have AdamW with {option}=False"):
            read_settings(torch.optim.AdamW([weight], **{option: True}))


def test_the_state_is_the_live_one() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 3, dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    fresh = optimizer_state(optimizer, weight)
    assert fresh.step.dtype == torch.float32 and fresh.step.ndim == 0 and fresh.step == 0
    assert (
        not fresh.exp_avg.any() and fresh.exp_avg_sq.shape == (2, 3) and fresh.exp_avg.dtype == torch.float64
    )
    weight.grad = torch.full_like(weight, 2.0)
    optimizer.step()
    after = optimizer_state(optimizer, weight)
    assert after.exp_avg is optimizer.state[weight]["exp_avg"] and after.step == 1
    torch.testing.assert_close(after.exp_avg, torch.full_like(weight, 0.2).detach())
    torch.testing.assert_close(after.exp_avg_sq, torch.full_like(weight, 0.004).detach())
