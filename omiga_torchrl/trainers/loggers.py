"""Loggers of runs: CSV, TensorBoard, W&B and MLflow, named and grouped, that go on where a run goes on."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, Final

from torchrl.record.loggers import Logger, get_logger
from torchrl.record.loggers.mlflow import MLFlowLogger
from torchrl.record.loggers.tensorboard import TensorboardLogger
from torchrl.record.loggers.wandb import WandbLogger

from omiga_torchrl.report import RunWriter
from omiga_torchrl.report.identity import flat

_LOG = logging.getLogger(__name__)

_PROJECT: Final = "omiga-torchrl"
_ID: Final = "omiga_torchrl.run"
# Of MLflow's servers.
_MOST_PARAMETERS, _LONGEST = 100, 500


class MLflowRun(MLFlowLogger):
    """One run of MLflow by its id, beside others of the same process; TorchRL's logger writes the active one.

    Args:
        tracking_uri: where MLflow keeps its runs.

    Keyword Args:
        experiment: name of the experiment.
        name: name of the run.
        run_id: tells the run from others; one that was begun with it goes on.
        tags: of the run.

    Attributes:
        continues: whether the run was there.
    """

    def __init__(
        self, tracking_uri: str, *, experiment: str, name: str, run_id: str, tags: Mapping[str, str]
    ) -> None:
        self.name, self.run_tags = name, {**tags, _ID: run_id}
        self.continues = False
        super().__init__(experiment, tracking_uri)

    def _create_experiment(self) -> Any:
        from mlflow import MlflowClient

        self.client = MlflowClient(self.log_dir)
        found = self.client.get_experiment_by_name(self.exp_name)
        self.id = self.client.create_experiment(self.exp_name) if found is None else found.experiment_id
        runs = self.client.search_runs([self.id], f"tags.`{_ID}` = '{self.run_tags[_ID]}'")
        self.continues = bool(runs)
        if self.continues:
            self.client.update_run(runs[0].info.run_id, status="RUNNING")
            return runs[0]
        return self.client.create_run(self.id, run_name=self.name, tags=self.run_tags)

    @property
    def run(self) -> str:
        """MLflow's own id of the run."""
        return str(self.experiment.info.run_id)

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Writes a number."""
        self.client.log_metric(self.run, name, value, step=step)

    def log_hparams(self, cfg: Any) -> None:
        """Writes settings, once: MLflow does not change them."""
        from mlflow.entities import Param

        values = [Param(key, str(value)[:_LONGEST]) for key, value in dict(cfg).items()]
        for first in range(0, 0 if self.continues else len(values), _MOST_PARAMETERS):
            self.client.log_batch(self.run, params=values[first : first + _MOST_PARAMETERS])


def open_logger(kind: str | None, run: RunWriter, config: Mapping[str, Any]) -> Logger | None:
    """The logger of a run; a warning and ``None`` where it cannot be opened, as no training depends on it.

    ``"csv"`` and ``"tensorboard"`` write ``<run>/log``. ``"wandb"`` writes a run of the run's name there and
    to the project ``WANDB_PROJECT``, by default ``omiga-torchrl``; ``"mlflow"`` writes one to
    ``MLFLOW_TRACKING_URI``, by default ``mlflow.db`` in the folder of all runs. Runs that differ in nothing
    but the seed are a group, and carry the names of algorithm, task, dataset and seed as tags, and the
    settings. A run that goes on writes its own log on.

    Args:
        kind: ``"csv"``, ``"tensorboard"``, ``"wandb"``, ``"mlflow"``, or ``None``.
        run: the run, whose folder is there.
        config: the settings, plain values.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.report import RunInfo
        >>> run = RunWriter(tempfile.mkdtemp(), RunInfo("bc", "game", "mixed", 0))
        >>> type(open_logger("csv", run, {})).__name__
        'CSVLogger'
    """
    if kind is None:
        return None
    try:
        return _open(kind, run, config)
    except Exception as error:  # loggers document little of what they raise
        _LOG.warning(
            "train: the logger %s cannot be opened (%s: %s); the training goes on without it.",
            kind, type(error).__name__, error,
        )  # fmt: skip
        return None


def _open(kind: str, run: RunWriter, config: Mapping[str, Any]) -> Logger:
    info = run.info
    tags = {"algorithm": info.algorithm, "task": info.task, "dataset": info.dataset, "seed": str(info.seed)}
    cell = f"{info.task} {info.dataset}"
    logger: Logger
    if kind == "wandb":
        logger = WandbLogger(
            run.path.name,
            log_dir=str(run.path / "log"),
            id=run.id,
            project=os.environ.get("WANDB_PROJECT", _PROJECT),
            group=f"{info.algorithm} {cell}",
            tags=[value[:64] for value in (*list(tags.values())[:3], f"seed{info.seed}")],
            reinit="create_new",  # runs that train together are in one process
            log_env_packages=False,  # run.json has the versions
        )
        logger.log_hparams(dict(config))
    elif kind == "mlflow":
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.path.parent.resolve()}/mlflow.db"
        logger = MLflowRun(place, experiment=cell, name=run.path.name, run_id=run.id, tags=tags)
        logger.log_hparams(flat(config))
    else:
        logger = get_logger(kind, logger_name=str(run.path), experiment_name="log")
        if isinstance(logger, TensorboardLogger) and not run.continues:
            text = json.dumps(dict(config), indent=2, default=str)
            logger.experiment.add_text("config", f"```json\n{text}\n```")
    return logger


def close_logger(logger: Logger | None) -> None:
    """Ends a log: what is left is written, and servers know that the run is finished.

    Args:
        logger: of :func:`open_logger`, or another one; ``None`` is none.

    Examples:
        >>> close_logger(None)
    """
    try:
        if isinstance(logger, MLflowRun):
            logger.client.set_terminated(logger.run)
        elif isinstance(logger, WandbLogger):
            logger.experiment.finish()
        elif isinstance(logger, TensorboardLogger):
            logger.experiment.close()
    except Exception as error:
        _LOG.warning("train: the logger failed at the end (%s: %s).", type(error).__name__, error)
