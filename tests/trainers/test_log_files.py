"""A CSV log is cut back to a checkpoint, line by line and metric by metric."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchrl.record.loggers.csv import CSVLogger

from omiga_torchrl.trainers.log_files import cut_log


@pytest.fixture
def logger(tmp_path: Path) -> CSVLogger:
    """Steps 1 to 4 of two metrics, one of them in a folder."""
    logger = CSVLogger("log", str(tmp_path))
    for step in (1, 2, 3, 4):
        logger.log_scalar("loss", step / 2, step=step)
        logger.log_scalar("evaluation/return", 10.0 * step, step=step)
    return logger


def lines(logger: CSVLogger, name: str) -> list[str]:
    return Path(logger.experiment.log_dir, "scalars", f"{name}.csv").read_text().split()


def test_each_metric_is_cut_at_its_own_step(logger: CSVLogger) -> None:
    cut_log(logger, {"loss": 3, "evaluation/return": 1})
    assert lines(logger, "loss") == ["1,0.5", "2,1.0", "3,1.5"]
    assert lines(logger, "evaluation/return") == ["1,10.0"]
    logger.log_scalar("loss", 7.0, step=4)
    assert lines(logger, "loss")[-2:] == ["3,1.5", "4,7.0"]


def test_what_the_checkpoint_does_not_know_goes(logger: CSVLogger) -> None:
    cut_log(logger, {"loss": 9})
    assert len(lines(logger, "loss")) == 4 and lines(logger, "evaluation/return") == []
    cut_log(logger, {})
    assert lines(logger, "loss") == []


def test_a_line_of_step_zero_is_one(logger: CSVLogger) -> None:
    logger.log_scalar("start", 1.0, step=0)
    cut_log(logger, {"start": 0})
    assert lines(logger, "start") == ["0,1.0"]
    cut_log(logger, {"loss": 4})
    assert lines(logger, "start") == []


def test_damaged_lines_go_and_whole_files_stay_untouched(logger: CSVLogger) -> None:
    path = Path(logger.experiment.log_dir, "scalars", "loss.csv")
    cut_log(logger, {"loss": 4, "evaluation/return": 4})
    before = path.stat().st_mtime_ns, path.stat().st_ino
    cut_log(logger, {"loss": 4, "evaluation/return": 4})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    path.write_bytes(b"1,0.5\nx,1.0\n\n3,1.5\n4,2.")
    cut_log(logger, {"loss": 2**40})
    assert path.read_bytes() == b"1,0.5\n3,1.5\n"


def test_files_are_closed_before_they_are_cut(logger: CSVLogger) -> None:
    opened = list(logger.experiment.files.values())
    cut_log(logger, {"loss": 1})
    assert opened and all(file.closed for file in opened) and not logger.experiment.files


def test_other_loggers_and_none_stay_as_they_are() -> None:
    cut_log(None, {"loss": 1})


def test_tensorboard_leaves_out_what_is_behind_the_last_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils import tensorboard
    from torchrl.record.loggers.tensorboard import TensorboardLogger

    logger = TensorboardLogger("log", str(tmp_path))
    logger.experiment.close()
    opened: list[int] = []

    class Writer:
        def __init__(self, log_dir: str, purge_step: int) -> None:
            opened.append(purge_step)

        def close(self) -> None: ...

    monkeypatch.setattr(tensorboard, "SummaryWriter", Writer)
    for last in ({"loss": 3, "return": 7}, {}):
        cut_log(logger, last)
    assert opened == [8, 0]
