"""What a pure step is told at every step: what is due, and when targets are copied."""

from __future__ import annotations

import pytest
import torch
from torchrl.objectives import HardUpdate

from omiga_torchrl.trainers.compiled import PureStep
from tests.trainers.toy import ToyLoss, parameter_groups


def make_step(every: int, **options: object) -> PureStep:
    loss = ToyLoss()
    groups = parameter_groups(loss)
    optimizer = torch.optim.Adam([p for group in groups.values() for p in group], lr=0.5)
    updater = HardUpdate(loss, value_network_update_interval=every - 1)
    return PureStep(loss, optimizer, groups, target_updater=updater, **options)


def copies(step: PureStep) -> bool:
    """Whether TorchRL's own updater copies the targets when it is stepped."""
    with torch.no_grad():
        for parameter in step.loss.a_network_params.parameters():
            parameter.add_(1)
    step.target_updater.step()
    pairs = zip(
        step.loss.a_network_params.values(True, True),
        step.loss.target_a_network_params.values(True, True),
        strict=True,
    )
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("interval", [1, 2])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_targets_are_copied_when_torchrls_updater_copies_them(every: int, interval: int) -> None:
    pure, eager = (make_step(every, update_intervals={"targets": interval}) for _ in range(2))
    expected, found = [], []
    for number in range(1, 13):
        due = number % interval == 0
        expected.append(due and copies(eager))
        inputs = pure.inputs(number)
        assert bool(inputs.due["targets"]) == due
        found.append(bool(inputs.due["targets"] & inputs.sync))
        pure.count(number)
    assert found == expected and sum(found) == 12 // interval // every


def test_each_name_is_due_at_its_own_interval() -> None:
    step = make_step(1, update_intervals={"a": 2, "b": 3})
    due = [{name: bool(value) for name, value in step.inputs(i).due.items()} for i in range(1, 7)]
    assert [one["a"] for one in due] == [False, True, False, True, False, True]
    assert [one["b"] for one in due] == [False, False, True, False, False, True]
    assert [float(rate) for rate in step.inputs(1).lr] == [0.5]
