"""What happens at a step that is not finite: it is named, skipped, or left behind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from omiga_torchrl.trainers import NonFiniteError, OfflineTrainer
from omiga_torchrl.trainers.compiled import PureStep
from omiga_torchrl.trainers.diagnosis import advise, find_entry
from omiga_torchrl.trainers.together import RunGroup
from tests.trainers.toy import parameter_groups, snapshot, toy_trainer


def spoil(trainer: OfflineTrainer, *steps: int, times: int = 1000, row: int = 3) -> list[int]:
    """Puts a NaN into a row of the batches of these steps; returns the steps as they are spoilt."""
    spoilt: list[int] = []

    def change(batch: TensorDictBase) -> TensorDictBase:
        if trainer.step_count in steps and len(spoilt) < times:
            spoilt.append(trainer.step_count)
            batch = batch.clone()
            batch["x"][row, 2] = torch.nan
        return batch

    trainer.register_op("process_optim_batch", change)
    return spoilt


@pytest.mark.parametrize("interval", [1, 10, 100])
def test_the_error_names_term_step_entry_and_checkpoint(tmp_path: Path, interval: int) -> None:
    trainer = toy_trainer(30, save_dir=tmp_path, save_interval=5, nan_check_interval=interval)
    spoil(trainer, 7)
    with pytest.raises(NonFiniteError) as caught:
        trainer.train()
    text = str(caught.value)
    assert caught.value.step == 7
    for part in ("'loss_a' is nan at step 7", "'x' is nan in row 3", "step_00000005.pt", "check_dataset"):
        assert part in text
    assert [file.name for file in tmp_path.iterdir()] == ["step_00000005.pt"]


def test_a_last_update_that_spoils_parameters_is_found_before_they_are_saved(tmp_path: Path) -> None:
    trainer = toy_trainer(10, save_dir=tmp_path, save_interval=100)
    parameter = trainer.optimizer.param_groups[1]["params"][0]

    def break_it() -> None:
        if trainer.step_count == 10:
            parameter.data[0] = torch.inf

    trainer.register_op("post_steps", break_it)
    with pytest.raises(NonFiniteError, match=r"b_network.* of the parameter group 'b' is inf after step 10"):
        trainer.train()
    assert not list(tmp_path.iterdir())


def test_a_skipped_step_changes_neither_parameters_nor_optimizer(caplog: pytest.LogCaptureFixture) -> None:
    trainer = toy_trainer(12, on_nonfinite="skip", target_updater=None)
    spoil(trainer, 7)
    for _ in range(6):
        trainer.train_step()
    before = snapshot(trainer)
    trainer.train_step()
    assert all(torch.equal(one, other) for one, other in zip(before, snapshot(trainer), strict=True))
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.step_count == 12 and trainer.nan_guard is not None and trainer.nan_guard.skipped == 1
    assert "1 updates skipped: NaNGuardHook: 'loss_a' is nan at step 7" in caplog.text
    assert all(value.isfinite().all() for value in snapshot(trainer))


def test_skipping_changes_no_healthy_run() -> None:
    one = toy_trainer(10)
    one.train()
    other = toy_trainer(10, on_nonfinite="skip")
    other.train()
    assert all(torch.equal(a, b) for a, b in zip(snapshot(one), snapshot(other), strict=True))


def test_skipping_ends_where_no_step_is_finite() -> None:
    trainer = toy_trainer(300, on_nonfinite="skip", nan_check_interval=30)
    spoil(trainer, *range(50, 301))
    with pytest.raises(NonFiniteError, match=r"None of the last 100 steps was finite") as caught:
        trainer.train()
    assert trainer.step_count == 150 and 50 <= caught.value.step <= 150


def test_the_pure_step_skips_as_the_eager_one_does() -> None:
    trainer = toy_trainer(3, on_nonfinite="skip")
    stepper: Any = trainer.optimization_stepper
    pure = PureStep(
        trainer.loss_module,
        trainer.optimizer,
        parameter_groups(trainer.loss_module),
        target_updater=stepper.target_updater,
        skip_nonfinite=True,
    )
    batch = trainer._sample().clone()
    batch["x"][0, 0] = torch.inf
    before = [value.clone() for value in pure.state().tensors]
    after, out = pure(pure.state(), batch, pure.inputs(1))
    assert not out["loss_a"].isfinite()
    trainer._optim_count = 1
    stepper.step(trainer, batch)
    for new, eager in zip(after.tensors, pure.state().tensors, strict=True):
        torch.testing.assert_close(new, eager)
    trained = [pure.known.index(parameter) for parameter in pure.parameters]
    assert all(torch.equal(before[i], after.tensors[i]) for i in trained)
    assert all(not moment.any() for moments in after.moments for moment in moments)


def test_rolling_back_goes_on_with_other_batches(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = toy_trainer(20, on_nonfinite="rollback", save_dir=tmp_path, save_interval=5)
    seen: list[tuple[int, float]] = []
    trainer.register_op(
        "post_optim_log", lambda batch: seen.append((trainer.step_count, float(batch["x"].sum())))
    )
    spoil(trainer, 7, times=1)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    steps = [step for step, _ in seen]
    assert steps == [*range(1, 11), *range(6, 21)]
    assert seen[5] != seen[10]  # step 6, before and after
    assert trainer.nan_guard is not None and trainer.nan_guard.rollbacks == 1
    assert "went back from step 10 to step 5" in caplog.text
    assert all(value.isfinite().all() for value in snapshot(trainer))


def test_rolling_back_gives_up(tmp_path: Path) -> None:
    trainer = toy_trainer(20, on_nonfinite="rollback", save_dir=tmp_path, save_interval=5)
    spoilt = spoil(trainer, 7)
    with pytest.raises(NonFiniteError, match="It went back 3 times"):
        trainer.train()
    assert spoilt == [7] * 4
    trainer = toy_trainer(20, on_nonfinite="rollback", save_dir=tmp_path / "other", save_interval=15)
    spoil(trainer, 7)
    with pytest.raises(NonFiniteError, match="There is no checkpoint to go back to"):
        trainer.train()


def test_the_number_of_rollbacks_is_part_of_checkpoints(tmp_path: Path) -> None:
    first = toy_trainer(20, on_nonfinite="rollback", save_dir=tmp_path, save_interval=5)
    spoil(first, 7, times=1)
    first.train()
    second = toy_trainer(20, on_nonfinite="rollback", save_dir=tmp_path, save_interval=5)
    second.load_from_file(tmp_path / "step_00000020.pt")
    assert second.nan_guard is not None and second.nan_guard.rollbacks == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["raise", "rollback", "skip"])
def test_one_of_several_runs_diverges_and_the_others_go_on(tmp_path: Path, mode: Any) -> None:
    options: dict[str, Any] = {"compile": "none", "save_interval": 5, "on_nonfinite": mode}
    runs, group = [], RunGroup()
    for k in range(3):
        runs.append(toy_trainer(20, save_dir=tmp_path / str(k), seed=k, **options))
        group.add(runs[k], kind=0)
    spoil(runs[1], 7, times=1)
    if mode == "raise":
        with pytest.raises(NonFiniteError, match="run 2 of 3: NaNGuardHook: 'loss_a' is nan at step 7"):
            group.train()
        assert list(group.failures) == [1]
    else:
        group.train()
        assert all(value.isfinite().all() for value in snapshot(runs[1]))
    for k in (0, 2):
        alone = toy_trainer(20, seed=k, compile="none")
        alone.train()
        assert runs[k].step_count == 20
        for one, other in zip(snapshot(runs[k]), snapshot(alone), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_compiled_step_skips_as_the_eager_one_does() -> None:
    runs = []
    for mode in ("none", "step"):
        run = toy_trainer(12, on_nonfinite="skip", compile=mode)
        spoil(run, 7)
        run.train()
        runs.append(run)
        assert run.nan_guard is not None and run.nan_guard.skipped == 1
    for one, other in zip(*map(snapshot, runs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_find_entry_counts_steps_of_slices() -> None:
    batch = TensorDict({"reward": torch.zeros(2, 3, 1), "index": torch.arange(10, 16).reshape(2, 3)}, [2, 3])
    batch["reward"][1, 2] = torch.inf
    assert str(find_entry(batch)) == "'reward' is inf in row 5 (index 15)"


@pytest.mark.parametrize(
    ("batch", "healthy", "words"),
    [
        ({("next", "reward"): [1.0, 1e30]}, {}, "divide the rewards, reward_scale=std"),
        ({"state": [1.0, 1e6]}, {}, "normalise_observations"),
        ({"state": [1.0, 2.0]}, {"scaled_advantage_max": 87.0}, "the exponent of the weights had reached 87"),
        ({"state": [1.0, 2.0]}, {"global_qvalue": -1e5}, "the values had reached 1e\\+05"),
        ({"state": [1.0, 2.0]}, {"global_qvalue": 1.0}, "lower the learning rate"),
    ],
)
def test_advice(batch: dict[Any, list[float]], healthy: dict[str, float], words: str) -> None:
    data = TensorDict({}, [2])
    for key, values in batch.items():
        data[key] = torch.tensor(values)
    advice = advise(find_entry(data), {name: torch.tensor(value) for name, value in healthy.items()})
    assert words.replace("\\", "").lower() in advice.lower()


def test_no_line_of_the_log_is_doubled_by_going_back_or_resuming(tmp_path: Path) -> None:
    from torchrl.record.loggers.csv import CSVLogger

    def trainer(steps: int) -> OfflineTrainer:
        options: dict[str, Any] = {"save_dir": tmp_path / "saved", "save_interval": 5, "log_interval": 1}
        return toy_trainer(steps, on_nonfinite="rollback", logger=CSVLogger("log", str(tmp_path)), **options)

    first = trainer(20)
    spoil(first, 8, times=1)
    first.train()
    (tmp_path / "saved" / "step_00000020.pt").unlink()
    again = trainer(20)
    again.load_from_file(tmp_path / "saved" / "step_00000015.pt")
    again.train()
    for file in (tmp_path / "log" / "scalars").rglob("*.csv"):
        assert [int(line.split(",")[0]) for line in file.read_text().split()] == list(range(1, 21)), file


def test_a_broken_logger_ends_no_training(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def log_scalar(self, *args: Any, **kwargs: Any) -> None:
            raise OSError(28, "No space left on device")

    trainer = toy_trainer(6, log_interval=1)
    trainer.logger = Broken()  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.step_count == 6
    assert caplog.text.count("the logger Broken failed at step 1") == 1 and caplog.text.count("failed") == 1
