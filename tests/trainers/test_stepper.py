"""What a stepper is made of, and what it hands to each step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import GroupedStepper
from tests.trainers.toy import ToyLoss, parameter_groups, snapshot, toy_trainer


def parts() -> tuple[ToyLoss, dict[str, list[nn.Parameter]]]:
    loss = ToyLoss()
    return loss, parameter_groups(loss)


def test_defaults() -> None:
    _, groups = parts()
    stepper = GroupedStepper(groups)
    assert stepper.clip_grad_norm == 1.0 and stepper.precision == "highest" and stepper.update_intervals == {}
    assert stepper.target_updater is None and not stepper.skip_nonfinite and not stepper.compile_loss
    assert stepper.parameter_groups == groups and stepper.parameter_groups["a"] is not groups["a"]


@pytest.mark.parametrize("norm", [0, 0.0, -1.0, float("nan")])
def test_a_norm_is_positive_or_none(norm: float) -> None:
    _, groups = parts()
    with pytest.raises(
        ValueError, match=rf"GroupedStepper: clip_grad_norm must be a positive norm.*got {norm}"
    ):
        GroupedStepper(groups, norm)
    assert GroupedStepper(groups, None).clip_grad_norm is None
    assert GroupedStepper(groups, 1e-9).clip_grad_norm == 1e-9


def test_intervals_are_of_groups_that_are_there() -> None:
    loss, groups = parts()
    with pytest.raises(ValueError, match=r"unknown name in update_intervals 'targets'"):
        GroupedStepper(groups, update_intervals={"targets": 2})
    updater = ForeachSoftUpdate(loss, tau=0.1)
    stepper = GroupedStepper(groups, target_updater=updater, update_intervals={"targets": 2, "a": 3})
    assert stepper.update_intervals == {"targets": 2, "a": 3}


def moved(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_the_trainer_s_own_count_decides_what_is_due() -> None:
    trainer: Any = toy_trainer(9, update_intervals={"a": 3}, compile="none")
    group = trainer.optimizer.param_groups[0]["params"]
    changed = []
    for _ in range(6):
        before = [parameter.detach().clone() for parameter in group]
        trainer.train_step()
        changed.append(moved(before, [parameter.detach() for parameter in group]))
    assert changed == [False, False, True, False, False, True]


def test_a_step_gives_detached_losses_and_norms_before_clipping() -> None:
    trainer: Any = toy_trainer(2, clip_grad_norm=1e-6, compile="none")
    step = trainer.gradient_step()
    out = trainer.optimization_stepper.step(trainer, next(step))
    assert {"loss_a", "loss_b", "grad_norm_a", "grad_norm_b"} <= set(out.keys())
    assert not any(value.requires_grad for value in out.values()) and out["grad_norm_a"] > 1e-3


def test_only_on_demand_a_bad_step_is_skipped() -> None:
    for skips in (True, False):
        trainer: Any = toy_trainer(2, compile="none", nan_check_interval=None)
        trainer.optimization_stepper.skip_nonfinite = skips
        before = snapshot(trainer)[:4]
        batch = next(trainer.gradient_step()).clone()
        batch["x"][0] = torch.nan
        trainer.optimization_stepper.step(trainer, batch)
        assert moved(before, snapshot(trainer)[:4]) is not skips


def test_a_loss_is_compiled_once_and_only_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[tuple[Any, dict[str, Any]]] = []

    class Compiled:
        def __init__(self, loss: Any) -> None:
            self._orig_mod = loss

    def compile_it(loss: Any, **options: Any) -> Any:
        compiled.append((loss, options))
        return Compiled(loss)

    monkeypatch.setattr(torch, "compile", compile_it)
    (loss, groups), (other, _) = parts(), parts()
    assert GroupedStepper(groups)._loss(loss) is loss and not compiled
    stepper = GroupedStepper(groups, compile_loss=True)
    one = stepper._loss(loss)
    assert stepper._loss(loss) is one and stepper._loss(other) is not one
    assert [found for found, _ in compiled] == [loss, other]
    options = compiled[0][1]
    assert options["fullgraph"] is True and options["dynamic"] is False
    assert options["options"] == {"fallback_random": True}
