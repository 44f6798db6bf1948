"""Loggers of runs: named, grouped, with settings, and one log for a run that goes on."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from torchrl.record.loggers.csv import CSVLogger

from omiga_torchrl.report import RunInfo, RunWriter
from omiga_torchrl.trainers.log_files import cut_log
from omiga_torchrl.trainers.loggers import close_logger, open_logger

CONFIG = {"algorithm": {"name": "bc", "hidden_sizes": [8]}, "seed": 3, **{f"key{i}": i for i in range(120)}}


def open_run(root: Path, seed: int = 3, existing: Any = "keep") -> RunWriter:
    return RunWriter(root, RunInfo("bc", "vmas/game", "mixed", seed), existing=existing)


def test_a_run_keeps_its_id_when_it_goes_on_and_not_when_it_starts_anew(tmp_path: Path) -> None:
    first = open_run(tmp_path).id
    assert first == open_run(tmp_path).id != open_run(tmp_path, existing="overwrite").id
    assert open_run(tmp_path, 4).id != first


def test_csv_is_in_the_runs_folder(tmp_path: Path) -> None:
    logger = open_logger("csv", open_run(tmp_path), CONFIG)
    assert isinstance(logger, CSVLogger)
    logger.log_scalar("loss", 0.5, step=1)
    assert (open_run(tmp_path).path / "log" / "scalars" / "loss.csv").read_text() == "1,0.5\n"
    assert open_logger(None, open_run(tmp_path), CONFIG) is None


def test_tensorboard_goes_on_without_what_was_behind_the_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    for values, back_to in (((1.0, 2.0, 3.0), None), ((20.0, 30.0), 1)):
        logger: Any = open_logger("tensorboard", open_run(tmp_path), CONFIG)
        if back_to is not None:
            cut_log(logger, {"loss": back_to})
        for step, value in enumerate(values, 1 if back_to is None else back_to + 1):
            logger.log_scalar("loss", value, step=step)
        close_logger(logger)
    events = EventAccumulator(str(open_run(tmp_path).path / "log")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(1, 1.0), (2, 20.0), (3, 30.0)]
    (text,) = events.Tensors("config/text_summary")
    assert b"hidden_sizes" in text.tensor_proto.string_val[0]


def test_wandb_offline_names_groups_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    warnings.simplefilter("ignore")
    one, other = (open_logger("wandb", open_run(tmp_path, seed), CONFIG) for seed in (3, 4))
    assert one is not None and other is not None
    made = one.experiment
    assert made.id == open_run(tmp_path).id != other.experiment.id
    assert (made.name, made.group) == ("bc__vmas-game__mixed__seed3", "bc vmas/game mixed")
    assert made.project == "omiga-torchrl" and set(made.tags) == {"bc", "vmas/game", "mixed", "seed3"}
    assert made.config["algorithm"]["hidden_sizes"] == [8]
    for step, logger in enumerate((one, other, one), 1):
        logger.log_scalar("loss", 0.5, step=step)
    assert made.summary["loss"] == 0.5
    close_logger(one)
    close_logger(other)
    again = open_logger("wandb", open_run(tmp_path), CONFIG)
    assert again is not None and again.experiment.id == made.id
    close_logger(again)
    assert len(list((open_run(tmp_path).path / "log").glob("wandb/offline-run-*"))) == 2
    assert wandb.run is None


def test_mlflow_names_groups_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    warnings.simplefilter("ignore")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    one, other = (open_logger("mlflow", open_run(tmp_path, seed), CONFIG) for seed in (3, 4))
    assert one is not None and other is not None
    for step, logger in enumerate((one, other, one), 1):
        logger.log_scalar("loss", step / 2, step=step)
    close_logger(one)
    again = open_logger("mlflow", open_run(tmp_path), {**CONFIG, "key1": "changed"})
    assert again is not None
    again.log_scalar("loss", 2.5, step=4)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("vmas/game mixed")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"bc__vmas-game__mixed__seed3", "bc__vmas-game__mixed__seed4"}
    run = runs["bc__vmas-game__mixed__seed3"]
    assert run.data.params["algorithm.hidden_sizes"] == "[8]" and len(run.data.params) == 123
    assert run.data.params["key1"] == "1" and run.data.tags["seed"] == "3"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(one.step, one.value) for one in history] == [(1, 0.5), (3, 1.5), (4, 2.5)]


def test_a_logger_that_cannot_be_opened_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = open_run(tmp_path)
    (run.path / "log").write_text("no folder")
    monkeypatch.setitem(sys.modules, "wandb", None)
    for kind in ("csv", "wandb"):
        assert open_logger(kind, run, CONFIG) is None
    assert caplog.text.count("cannot be opened") == 2 and "goes on without it" in caplog.text
    assert json.loads((run.path / "run.json").read_text())["audit"]["finished"] is False
