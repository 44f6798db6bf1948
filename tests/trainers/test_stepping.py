"""Which stepper a mode means, and from how many steps it is worth compiling."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torchrl.objectives import HardUpdate, SoftUpdate

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import GroupedStepper, make_optimizer
from omiga_torchrl.trainers.compiled.stepper import CompiledStepper
from omiga_torchrl.trainers.stepping import AUTO_STEPS, StepOptions, make_stepper
from tests.trainers.toy import ToyLoss, parameter_groups


def make(mode: Any, steps: int = AUTO_STEPS, factory: Any = None, updater: Any = None) -> Any:
    loss = ToyLoss()
    groups = parameter_groups(loss)
    options = StepOptions(
        parameter_groups=groups,
        clip_grad_norm=0.5,
        target_updater=None if updater is None else updater(loss),
        update_intervals={"a": 2},
        precision="high",
        skip_nonfinite=True,
    )
    return make_stepper(mode, steps, make_optimizer(groups, 1e-3, factory), options)


@pytest.mark.parametrize(("mode", "is_compiled"), [("none", False), ("loss", True)])
def test_eager_steps_with_or_without_a_compiled_loss(mode: str, is_compiled: bool) -> None:
    stepper = make(mode)
    assert type(stepper) is GroupedStepper and stepper.compile_loss is is_compiled
    assert stepper.clip_grad_norm == 0.5 and stepper.update_intervals == {"a": 2}
    assert stepper.precision == "high" and stepper.skip_nonfinite


def test_automatic_is_compiled_from_so_many_steps_with_an_eager_way_back() -> None:
    assert AUTO_STEPS == 20_000
    assert type(make("auto", AUTO_STEPS - 1)) is GroupedStepper
    assert make("auto", 1).compile_loss is False
    stepper = make("auto", AUTO_STEPS)
    assert isinstance(stepper, CompiledStepper) and type(stepper.fallback) is GroupedStepper
    whole = make("step", 1)
    assert isinstance(whole, CompiledStepper) and whole.fallback is None


@pytest.mark.parametrize(
    ("factory", "updater", "compiles"),
    [
        (torch.optim.AdamW, None, True),
        (torch.optim.Adam, partial(SoftUpdate, tau=0.1), True),
        (None, partial(ForeachSoftUpdate, tau=0.1), True),
        (None, partial(HardUpdate, value_network_update_interval=3), True),
        (torch.optim.SGD, None, False),
        (torch.optim.NAdam, None, False),
        (None, lambda loss: object(), False),
    ],
)
def test_automatic_compiles_what_has_a_compiled_form(factory: Any, updater: Any, compiles: bool) -> None:
    stepper = make("auto", factory=factory, updater=updater)
    assert isinstance(stepper, CompiledStepper) is compiles


def test_a_whole_step_on_demand_says_what_it_cannot() -> None:
    with pytest.raises(ValueError, match=r"compile='step' must have Adam or AdamW, got SGD"):
        make("step", factory=torch.optim.SGD)
    with pytest.raises(ValueError, match=r"unknown compile 'stp'; did you mean 'step'"):
        make("stp")
