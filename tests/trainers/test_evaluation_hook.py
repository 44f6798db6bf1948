"""Evaluations during training: at once, or as futures that training does not wait for."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch

from omiga_torchrl.evaluation import EvaluationResult
from omiga_torchrl.trainers import CheckpointHook, EvaluationHook, latest_checkpoint, load_checkpoint
from omiga_torchrl.trainers.offline import OfflineTrainer
from tests.trainers.toy import identical, toy_trainer


def result(value: float) -> EvaluationResult:
    returns = torch.tensor([value, value + 1], dtype=torch.float64)
    return EvaluationResult(returns, torch.tensor([5, 5]), torch.tensor([True, False]))


def test_evaluation_never_changes_training() -> None:
    def wild() -> EvaluationResult:
        torch.manual_seed(7), np.random.seed(7), random.seed(7)
        return result(torch.rand(1).item())

    plain, evaluated = toy_trainer(20), toy_trainer(20)
    seen: list[int] = []
    hook = EvaluationHook(wild, 7, on_result=lambda step, _: seen.append(step), at_start=True)
    hook.register(evaluated)
    plain.train()
    draws = (torch.rand(1), np.random.rand(), random.random())
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    evaluated.train()
    assert identical(plain, evaluated)
    assert draws == (torch.rand(1), np.random.rand(), random.random())
    assert seen == [0, 7, 14, 20]
    assert hook.last_step == 20


def test_evaluation_is_logged_at_once() -> None:
    trainer = toy_trainer(6, log_interval=1000)
    EvaluationHook(lambda: result(2.0), 3).register(trainer)
    trainer.train()
    assert list(trainer._log_dict["evaluation/return"]) == [2.5, 2.5]
    assert list(trainer._log_dict["evaluation/terminated_share"]) == [0.5, 0.5]


def test_resume_repeats_no_evaluation(tmp_path: Path) -> None:
    steps: list[int] = []
    for total in (10, 20):
        trainer = toy_trainer(total, save_dir=tmp_path, save_interval=5)
        EvaluationHook(lambda: {"return": 1.0}, 5, on_result=lambda step, _: steps.append(step)).register(
            trainer
        )
        if total == 20:
            trainer.load_from_file(latest_checkpoint(tmp_path))
        trainer.train()
    assert steps == [5, 10, 15, 20]


class Futures:
    """Evaluations that are ready when the test says so; the result is the step they were asked at."""

    def __init__(self, trainer: OfflineTrainer, when_asked: Callable[[int], bool] = lambda _: False) -> None:
        self.trainer, self.when_asked = trainer, when_asked
        self.asked: list[tuple[int, Future[object]]] = []
        self.told: list[tuple[int, int]] = []

    def __call__(self) -> Future[object]:
        future: Future[object] = Future()
        step = self.trainer.step_count
        self.asked.append((step, future))
        if self.when_asked(step):
            self.finish(step)
        return future

    def finish(self, step: int) -> None:
        dict(self.asked)[step].set_result({"return": float(step)})

    def hook(self, interval: int) -> EvaluationHook:
        return EvaluationHook(
            self, interval, on_result=lambda step, _: self.told.append((step, self.trainer.step_count))
        )


def test_training_goes_on_and_the_result_is_logged_at_its_own_step() -> None:
    trainer = toy_trainer(12, log_interval=1000)
    futures = Futures(trainer)
    futures.hook(5).register(trainer)
    logged: list[tuple[int, float]] = []

    class Logger:
        def log_scalar(self, name: str, value: float, step: int) -> None:
            if name == "evaluation/return":
                logged.append((step, value))

    trainer.logger = Logger()  # type: ignore[assignment]

    due = {8: 5, 11: 10}
    trainer.register_op(
        "pre_steps_log", lambda _: futures.finish(due[step]) if (step := trainer.step_count) in due else None
    )
    futures.when_asked = lambda step: step == 12  # asked for, and waited for, at the end
    trainer.train()
    assert futures.told == [(5, 8), (10, 11), (12, 12)]
    assert logged == [(5, 5.0), (10, 10.0), (12, 12.0)]


def test_one_evaluation_at_a_time() -> None:
    trainer = toy_trainer(6)
    futures = Futures(trainer, when_asked=lambda step: True)
    futures.hook(2).register(trainer)
    trainer.train()
    # Ready at once, yet told by the next step, or by the next evaluation, or at the end.
    assert futures.told == [(2, 3), (4, 5), (6, 6)]


def test_a_checkpoint_waits_for_evaluations_whose_policy_is_gone(tmp_path: Path) -> None:
    trainer = toy_trainer(7)
    futures = Futures(trainer)
    futures.hook(3).register(trainer)
    CheckpointHook(tmp_path, 4, keep=2).register(trainer)
    # The checkpoint of step 4 asks for the result of step 3; the others are ready at once.
    trainer.register_op("post_steps", lambda: futures.finish(3) if trainer.step_count == 4 else None)
    futures.when_asked = lambda step: step > 3
    trainer.train()
    assert load_checkpoint(tmp_path / "step_00000004.pt")["trainer"]["evaluation"] == {"last_step": 3}
    assert futures.told == [(3, 4), (6, 7), (7, 7)]


def test_a_resumed_run_repeats_the_evaluation_that_was_under_way(tmp_path: Path) -> None:
    first = toy_trainer(4)
    lost = Futures(first)
    lost.hook(4).register(first)
    CheckpointHook(tmp_path, 4).register(first)
    lost.when_asked = lambda step: True
    first.train()
    state = load_checkpoint(latest_checkpoint(tmp_path))["trainer"]["evaluation"]
    assert state == {"last_step": -1}  # it had not been told when the checkpoint was written

    second = toy_trainer(8)
    again = Futures(second, when_asked=lambda step: True)
    again.hook(4).register(second)
    second.load_from_file(latest_checkpoint(tmp_path))
    second.train()
    assert [step for step, _ in again.told] == [4, 8]
    assert all(dict(again.asked)[step].result() == {"return": float(step)} for step in (4, 8))
