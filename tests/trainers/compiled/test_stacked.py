"""Runs whose tensors are stacked: what a checkpoint puts into one of them is taken, or refused."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from omiga_torchrl.trainers.compiled import PureStep
from omiga_torchrl.trainers.compiled.stacked import StackedRuns
from tests.trainers.toy import ToyLoss, parameter_groups


def make_step(seed: int) -> PureStep:
    torch.manual_seed(seed)
    loss = ToyLoss()
    groups = parameter_groups(loss)
    return PureStep(loss, torch.optim.Adam([p for group in groups.values() for p in group]), groups)


def load(step: PureStep, value: float) -> None:
    """What loading a checkpoint does to parameters and optimizer."""
    with torch.no_grad():
        step.parameters[0].fill_(value)
    step.optimizer.load_state_dict(deepcopy(step.optimizer.state_dict()))


@pytest.mark.parametrize("loaded", [0, 1])
def test_a_run_that_was_loaded_later_is_refused_until_it_is_taken_in(loaded: int) -> None:
    steps = [make_step(seed) for seed in (0, 1)]
    stacked = StackedRuns(steps, [0, 0])
    other = steps[1 - loaded].parameters[0].clone()
    load(steps[loaded], 3.0)
    with pytest.raises(RuntimeError, match="must be loaded before the runs train together"):
        stacked.step([], [], [])
    stacked.reload(loaded)
    assert (steps[loaded].parameters[0] == 3).all() and torch.equal(steps[1 - loaded].parameters[0], other)
    assert all(seen is step.optimizer.state for seen, step in zip(stacked._seen, steps, strict=True))


def test_a_released_run_has_memory_of_its_own() -> None:
    steps = [make_step(seed) for seed in (0, 1)]
    stacked = StackedRuns(steps, [0, 0])
    stacked.release(1)
    before = [step.parameters[0].clone() for step in steps]
    for value in stacked._state:
        value.zero_()
    assert not steps[0].parameters[0].any() and before[0].any()
    assert torch.equal(steps[1].parameters[0], before[1])
