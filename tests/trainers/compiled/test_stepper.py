"""The compiled step in the trainer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from torch.utils._python_dispatch import TorchDispatchMode

from omiga_torchrl.trainers import GroupedStepper, OfflineTrainer
from omiga_torchrl.trainers.compiled.stepper import CompiledStepper
from omiga_torchrl.trainers.stepping import AUTO_STEPS
from tests.trainers.toy import ToyLoss, parameter_groups, snapshot, toy_buffer, toy_trainer


def stepper(trainer: OfflineTrainer) -> CompiledStepper:
    assert isinstance(trainer.optimization_stepper, CompiledStepper)
    return trainer.optimization_stepper


def assert_near(left: OfflineTrainer, right: OfflineTrainer) -> None:
    one, other = snapshot(left), snapshot(right)
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def trained(mode: Any, steps: int = 20, **options: Any) -> OfflineTrainer:
    trainer = toy_trainer(steps, compile=mode, **options)
    trainer.train()
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["step", "loss"])
def test_compiled_modes_equal_the_eager_one(mode: str) -> None:
    options = {"lr_schedule": "cosine", "update_intervals": {"a": 2, "targets": 3}}
    eager, compiled = trained("none", **options), trained(mode, **options)
    assert_near(eager, compiled)


@pytest.mark.slow
def test_a_compiled_run_resumes_exactly_and_either_mode_goes_on(tmp_path: Path) -> None:
    whole = trained("step", 20)
    half = trained("step", 10)
    file = half.save(tmp_path / "half.pt")
    for mode in ("step", "none"):
        rest = toy_trainer(20, compile=mode)
        rest.load_from_file(file)
        rest.train()
        assert_near(whole, rest)
        if mode == "step":
            same = zip(snapshot(whole), snapshot(rest), strict=True)
            assert all(torch.equal(a, b) for a, b in same)
    file = trained("none", 10).save(tmp_path / "eager.pt")
    rest = toy_trainer(20, compile="step")
    rest.load_from_file(file)
    rest.train()
    assert_near(whole, rest)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Got conflicting batch_sizes")
def test_another_batch_size_compiles_once_more_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    trainer = toy_trainer(30, compile="step")
    sizes = [32] * 3 + [16] * 3 + [32] * 3 + [16] * 3
    with caplog.at_level(logging.WARNING):
        for size in sizes:
            trainer.batch_size = size
            trainer.train_step()
    assert stepper(trainer).compilations == 2
    said = [record for record in caplog.records if "compiling the step again" in record.message]
    assert len(said) == 1
    assert "(16,)" in said[0].message


def test_auto_compiles_long_runs_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        short = toy_trainer(AUTO_STEPS - 1)
    assert isinstance(short.optimization_stepper, GroupedStepper)
    assert "too few" in caplog.text
    assert isinstance(toy_trainer(AUTO_STEPS).optimization_stepper, CompiledStepper)


def test_auto_leaves_other_optimizers_alone() -> None:
    trainer = toy_trainer(AUTO_STEPS, optimizer=torch.optim.RMSprop)
    assert isinstance(trainer.optimization_stepper, GroupedStepper)


def test_an_optimizer_without_compiled_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have Adam or AdamW, got RMSprop.*compile='loss'"):
        toy_trainer(3, optimizer=torch.optim.RMSprop, compile="step")


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="compile"):
        toy_trainer(3, compile="jit")


def test_every_loss_of_a_process_has_its_own_limit_of_compilations() -> None:
    with torch._dynamo.config.patch(recompile_limit=1):
        for _ in range(2):
            assert trained("loss", 1).step_count == 1


class HostReader(ToyLoss):
    """A loss that reads a value on the host."""

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        out = super().forward(tensordict)
        return out if float(out["loss_a"].detach()) > -1 else TensorDict({})


def host_reader(mode: Any) -> OfflineTrainer:
    torch.manual_seed(0)
    loss = HostReader()
    return OfflineTrainer(
        loss_module=loss,
        replay_buffer=toy_buffer(),
        parameter_groups=parameter_groups(loss),
        total_steps=AUTO_STEPS,
        progress_bar=False,
        compile=mode,
    )


@pytest.mark.filterwarnings("ignore:No target network updater")
def test_a_loss_that_cannot_be_traced(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match=r"can be traced.*HostReader.*compile='none'"):
        host_reader("step").train_step()
    trainer = host_reader("auto")
    with caplog.at_level(logging.WARNING):
        trainer.train_step()
        trainer.train_step()
    assert caplog.text.count("cannot be compiled") == 1
    assert trainer.step_count == 2


class CountReads(TorchDispatchMode):
    """Counts how often a value is read on the host."""

    reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["none", "step"])
def test_no_step_reads_a_value_on_the_host(mode: Any) -> None:
    trainer = toy_trainer(1000, compile=mode, log_interval=1000, nan_check_interval=1000)
    for _ in range(3):  # compiling, and the first log of a metric
        trainer.train_step()
    with CountReads() as count:
        torch.ones(()).item()
        for _ in range(10):
            trainer.train_step()
    assert count.reads == 1
