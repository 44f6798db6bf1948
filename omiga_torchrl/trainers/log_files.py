"""Log files of a run that went back to a checkpoint: lines behind it are cut, so that none is there twice."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchrl.record.loggers import Logger
from torchrl.record.loggers.csv import CSVLogger
from torchrl.record.loggers.tensorboard import TensorboardLogger

from omiga_torchrl.files import atomic_write


def cut_log(logger: Logger | None, last: Mapping[str, int]) -> None:
    """Cuts the files of a CSV logger back to a checkpoint; TensorBoard is told to leave out what was behind.

    W&B and MLflow keep what they have; a run that goes on writes the same numbers again.

    Args:
        logger: of the trainer.
        last: name of every metric to the last step that it had been logged at.

    Examples:
        >>> import tempfile
        >>> logger = CSVLogger("log", tempfile.mkdtemp())
        >>> for step in (1, 2, 3):
        ...     logger.log_scalar("loss", 0.5, step=step)
        >>> cut_log(logger, {"loss": 2})
        >>> logger.log_scalar("loss", 0.25, step=3)
        >>> Path(logger.experiment.log_dir, "scalars", "loss.csv").read_text().split()
        ['1,0.5', '2,0.5', '3,0.25']
    """
    if isinstance(logger, TensorboardLogger):
        _purge(logger, max(last.values(), default=-1))
    if not isinstance(logger, CSVLogger):
        return
    experiment: Any = logger.experiment
    for file in experiment.files.values():
        file.close()
    experiment.files.clear()
    folder = Path(experiment.log_dir, "scalars")
    for path in folder.rglob("*.csv"):
        _cut(path, last.get(path.relative_to(folder).as_posix().removesuffix(".csv"), -1))


def _purge(logger: TensorboardLogger, last: int) -> None:
    from torch.utils.tensorboard import SummaryWriter  # optional: extra "recipes"

    logger.experiment.close()
    logger.experiment = SummaryWriter(log_dir=logger.log_dir, purge_step=last + 1)


def _cut(path: Path, last: int) -> None:
    """Keeps whole lines up to a step."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n") and _step(line) <= last]
    if len(kept) < len(lines):
        with atomic_write(path) as file:
            file.write(b"".join(kept))


def _step(line: bytes) -> int:
    with suppress(ValueError):
        return int(line.partition(b",")[0])
    return 2**63  # a damaged line goes
