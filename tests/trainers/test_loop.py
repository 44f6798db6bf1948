"""The loop: in which order a step's hooks run, when it ends, and what ends it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.trainers import CheckpointHook, NonFiniteError
from omiga_torchrl.trainers.interruption import TrainingInterrupted
from tests.trainers.test_logged import Bar
from tests.trainers.toy import identical, toy_trainer

STAGES = (
    *("pre_steps_log", "pre_optim_steps", "pre_epoch_log", "pre_epoch"),
    *("post_optim", "post_optim_log", "post_epoch_log", "post_epoch"),
    *("post_optim_complete_log", "post_steps", "post_steps_log"),
)


def recorded(trainer: Any, seen: list[str], stages: tuple[str, ...]) -> None:
    def note(stage: str) -> None:
        assert len(seen) < 100, "it never ends"
        seen.append(stage)

    for stage in stages:
        trainer.register_op(stage, lambda *_, stage=stage: note(stage))


def test_a_step_runs_its_hooks_in_their_order_and_ends_with_the_log() -> None:
    trainer = toy_trainer(2)
    seen: list[str] = []
    recorded(trainer, seen, ("setup", *STAGES, "shutdown"))
    trainer.train()
    assert seen == ["setup", *STAGES, *STAGES, "shutdown"]


def test_steps_are_counted_before_they_are_done() -> None:
    trainer = toy_trainer(3)
    counted: list[tuple[int, int]] = []
    trainer.register_op("pre_optim_steps", lambda: counted.append((trainer.step_count, trainer._optim_count)))
    trainer.train()
    assert counted == [(1, 0), (2, 1), (3, 2)] and trainer._optim_count == 3


def test_it_is_done_after_exactly_its_steps_or_on_request() -> None:
    trainer = toy_trainer(2)
    assert not trainer.is_done
    trainer.train_step()
    assert trainer.step_count == 1 and not trainer.is_done
    trainer.train_step()
    assert trainer.is_done
    other = toy_trainer(5)
    other.register_op("post_steps", lambda: setattr(other, "_stop_training", other.step_count == 3))
    other.train()
    assert other.step_count == 3 and other.is_done
    other.begin()  # forgets the request
    assert not other.is_done


def test_a_generator_of_a_step_gives_its_batch_and_takes_the_output() -> None:
    trainer = toy_trainer(3)
    step = trainer.gradient_step()
    batch = next(step)
    assert batch["x"].shape == (32, 4)
    with pytest.raises(StopIteration):
        step.send(TensorDict({"loss_a": torch.tensor(2.5)}))
    assert trainer.step_count == 1 and trainer._window.flush() == {"loss_a": 2.5}


def test_hooks_may_change_the_batch_that_is_learned_from() -> None:
    trainer = toy_trainer(1)
    trainer.register_op("process_optim_batch", lambda batch: batch[:5])
    assert next(trainer.gradient_step())["x"].shape == (5, 4)


def test_batches_go_to_the_networks_device() -> None:
    trainer = toy_trainer(1)
    assert trainer._sample()["x"].device.type == "cpu"
    trainer._device = torch.device("meta")
    assert trainer._sample()["x"].device.type == "meta"


def test_around_the_update_hooks_see_a_batch_of_one_row_without_entries() -> None:
    trainer = toy_trainer(1)
    seen: list[Any] = []
    trainer.register_op("pre_steps_log", lambda batch: seen.append(batch) and None)
    trainer.train()
    assert seen[0].batch_size == (1,) and seen[0].is_empty()


def test_logs_are_due_at_each_interval_before_checkpoints_are_written() -> None:
    trainer = toy_trainer(4, log_interval=2)
    left: list[int] = []
    trainer.register_op(
        "post_steps_log", lambda _: left.append(len(trainer._window.state_dict()["families"]))
    )
    trainer.train()
    assert left == [1, 0, 1, 0]


def test_the_bar_moves_one_step_at_a_time_and_is_closed() -> None:
    trainer = toy_trainer(3)
    trainer._bar = bar = Bar()
    trainer.train_step()
    trainer.train_step()
    assert bar.steps == 2
    trainer.end()
    assert bar.closed and trainer._bar is None


def test_a_failing_step_closes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, bar = toy_trainer(3), Bar()
    monkeypatch.setattr(trainer, "_open_bar", lambda: setattr(trainer, "_bar", bar))

    def fail() -> None:
        raise RuntimeError("broken")

    trainer.register_op("post_steps", fail)
    with pytest.raises(RuntimeError, match="broken"):
        trainer.train()
    assert bar.closed


def test_the_end_checks_before_hooks_shut_down() -> None:
    trainer = toy_trainer(1)
    seen: list[str] = []
    recorded(trainer, seen, ("shutdown",))
    with torch.no_grad():
        trainer.optimizer.param_groups[0]["params"][0].fill_(torch.nan)
    with pytest.raises(NonFiniteError):
        trainer.end()
    assert not seen


def test_training_again_does_nothing_more() -> None:
    one = toy_trainer(3)
    one.train()
    other = toy_trainer(3)
    other.train(), other.train()
    assert identical(one, other) and other.step_count == 3


def test_a_signal_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    trainer = toy_trainer(9)
    CheckpointHook(tmp_path, 4).register(trainer)
    trainer.register_op(
        "post_steps", lambda: signal.raise_signal(signal.SIGTERM) if trainer.step_count == 3 else None
    )
    with pytest.raises(
        TrainingInterrupted, match=r"stopped after step 3, saved as .*step_00000003.pt"
    ) as caught:
        trainer.train()
    assert caught.value.signum == signal.SIGTERM and trainer.step_count == 3
    assert [file.name for file in tmp_path.iterdir()] == ["step_00000003.pt"]


def test_a_checkpoint_of_this_step_is_not_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = toy_trainer(9)
    hook = CheckpointHook(tmp_path, 2)
    hook.register(trainer)
    for _ in range(2):
        trainer.train_step()
    monkeypatch.setattr(hook, "save", lambda: pytest.fail("written again"))
    with pytest.raises(TrainingInterrupted, match=r"step_00000002.pt"):
        trainer.interrupt(signal.SIGINT)


def test_without_checkpoints_a_signal_just_ends() -> None:
    with pytest.raises(TrainingInterrupted, match="SIGTERM"):
        toy_trainer(3).interrupt(signal.SIGTERM)
    other = toy_trainer(3)
    other.register_module("checkpoint", other.optimizer)  # a module of this name that writes none
    with pytest.raises(TrainingInterrupted, match="stopped by SIGINT"):
        other.interrupt(signal.SIGINT)
