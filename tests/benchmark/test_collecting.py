"""From a run's folder to its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl.benchmark.collecting import finished_run, make_record
from tests.recipes.in_process import configs, load, settings

pytest.importorskip("vmas")

SMALL = (
    *("task=vmas/navigation", "dataset=mixed", "logger=csv", "compile=none", "algorithm.hidden_sizes=[8]"),
    *("trainer.steps=100", "trainer.log_interval=10", "trainer.batch_size=16", "trainer.progress_bar=false"),
    *("evaluation.interval=100", "evaluation.episodes=2", "evaluation.final_episodes=3"),
)


def recorded(folder: Path, algorithm: str) -> dict[str, Any]:
    with configs("train"):
        load("train").train(settings("train", *SMALL, f"algorithm={algorithm}", f"out={folder}", "seed=3"))
    assert finished_run(folder, 0) is None
    run = finished_run(folder, 3)
    assert run is not None
    return make_record(run, key="a key", protocol={"name": "some"}, data={"transitions": 1})


def test_a_record_has_what_the_run_logged(tmp_path: Path) -> None:
    record = recorded(tmp_path, "omiga")
    assert (record["algorithm"], record["seed"]) == ("omiga", 3)
    assert record["protocol"] == {"name": "some", "steps": 100}
    counts = {one["label"]: len(one["returns"]) for one in record["evaluations"]}
    assert counts == {"training": 2, "final": 3, "best": 3}
    values = record["values"]
    assert values["name"] == "global_qvalue" and values["steps"][-1] == 100
    assert values["lower_bound"] < 0 < values["bound"]
    assert 0 < record["effective_sample_size"] <= 1


def test_cloning_has_neither_values_nor_weights(tmp_path: Path) -> None:
    record = recorded(tmp_path, "bc")
    assert record["values"] is None and record["effective_sample_size"] is None
