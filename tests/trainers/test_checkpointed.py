"""Runs that go on, with a checkpoint or without one."""

from __future__ import annotations

from pathlib import Path

from torchrl.record.loggers.csv import CSVLogger

from omiga_torchrl.trainers import EvaluationHook
from tests.trainers.toy import identical, toy_trainer


def test_a_run_without_a_checkpoint_begins_its_log_anew(tmp_path: Path) -> None:
    """It was killed before the first one: no line may be there twice."""
    told: list[int] = []
    folder = tmp_path / "checkpoints"
    for total in (3, 6):
        logger = CSVLogger("log", str(tmp_path))
        trainer = toy_trainer(total, logger=logger, log_interval=1)
        hook = EvaluationHook(lambda: {"return": 1.0}, 2, on_restored=lambda step: told.append(step))
        hook.register(trainer)
        assert trainer.resume(folder) is None
        trainer.train()
    assert told == [-1, -1]
    for path, steps in (("loss_a", range(1, 7)), ("evaluation/return", (2, 4, 6))):
        lines = (tmp_path / "log" / "scalars" / f"{path}.csv").read_text().split()
        assert [int(line.partition(",")[0]) for line in lines] == list(steps)


def test_a_run_with_a_checkpoint_goes_on_from_it(tmp_path: Path) -> None:
    whole = toy_trainer(8)
    whole.train()
    toy_trainer(4, save_dir=tmp_path).train()
    trainer = toy_trainer(8, save_dir=tmp_path)
    assert trainer.resume(tmp_path) == tmp_path / "step_00000004.pt" and trainer.step_count == 4
    trainer.train()
    assert identical(trainer, whole)
