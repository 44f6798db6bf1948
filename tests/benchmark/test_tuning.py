"""Tuned suites: equal trials for all, chosen without what results are made of, and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl.benchmark import load_records, parse_suite, run_suite, running, write_record
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.schedule import Outcome
from omiga_torchrl.benchmark.scores import Scores, is_trial
from omiga_torchrl.benchmark.tuning import choose, trial_return, tuning_table
from omiga_torchrl.errors import SettingsError
from tests.benchmark.fake_records import fake_record

VALUES: dict[str, Any] = {
    "protocol": {"name": "tuned", "seeds": [0, 1], "tuning_trials": 2, "tuning_seed": 9},
    "cells": {
        "navigation": {"task": "vmas/navigation", "tiers": ["mixed"]},
        "speaker": {"task": "vmas/speaker_listeners", "tiers": ["medium"]},
    },
    "algorithms": {
        "bc": {"tune": ["trainer.lr=1", "trainer.lr=2"]},
        "omiga": {
            "train": ["algorithm.alpha=9"],
            "tune": [["algorithm.alpha=1", "algorithm.tau=0.1"], "algorithm.alpha=3"],
        },
    },
}
# What the fake runs reach: alpha 3 is best in one cell and alpha 1 in the other.
LEVELS = {
    ("vmas/navigation", "algorithm.alpha=3"): 0.9,
    ("vmas/speaker_listeners", "algorithm.alpha=1"): 0.9,
    ("vmas/navigation", "trainer.lr=2"): 0.8,
    ("vmas/speaker_listeners", "trainer.lr=2"): 0.8,
}


def fake_run(failing: str = "", log: list[int] | None = None) -> Any:
    """In place of running jobs: writes the record of every run that is missing."""

    def run(grid: Grid, launcher: object, *options: object) -> Outcome:
        if log is not None:
            log.append(len(grid.missing()))
        outcome = Outcome()
        for spec, key in grid.specs:
            if failing and failing in spec.overrides:
                outcome.failures[key] = "NaN"
                continue
            level = max([LEVELS.get((spec.cell.task, one), 0.2) for one in spec.overrides])
            record = fake_record(spec.label, spec.cell.name, spec.seed, level)
            protocol = {**record["protocol"], **grid.suite.protocol.to_record()}
            arguments = {"name": spec.label, "overrides": [*spec.overrides]}
            identity = {**record["identity"], "algorithm": arguments}
            tried = {"tried": list(spec.tried)}
            changed = {"key": key, "protocol": protocol, "identity": identity, **tried}
            write_record(grid.records, {**record, **changed})
        return outcome

    return run


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(running, "_run", fake_run())
    assert run_suite(parse_suite("tuned", VALUES), tmp_path, progress=False) == 1.0
    return tmp_path


def test_every_algorithm_tries_its_settings_once_in_every_cell_on_the_tuning_seed() -> None:
    runs = parse_suite("tuned", VALUES).runs()
    assert len(runs) == 2 * (2 + 2) and {run.seed for run in runs} == {9}
    omiga = [run for run in runs if run.label == "omiga" and run.cell.task == "vmas/navigation"]
    assert [run.tried for run in omiga] == [
        ("algorithm.alpha=1", "algorithm.tau=0.1"),
        ("algorithm.alpha=3",),
    ]
    assert omiga[0].overrides == ("algorithm=omiga", "algorithm.alpha=1", "algorithm.tau=0.1")


def test_the_best_setting_of_a_cell_is_run_with_the_seeds_of_the_protocol(tuned: Path) -> None:
    records = load_records(tuned / "records").records
    finals = [one for one in records if not is_trial(one)]
    assert len(records) == 8 + 2 * 2 * 2 and {one.values["seed"] for one in finals} == {0, 1}
    chosen = {(one.values["task"], *one.values["tried"]) for one in finals if "omiga" in one.key}
    assert chosen == {
        ("vmas/navigation", "algorithm.alpha=3"),
        ("vmas/speaker_listeners", "algorithm.alpha=1", "algorithm.tau=0.1"),
    }


def test_trials_are_in_no_score_and_all_on_the_page(tuned: Path) -> None:
    page = (tuned / "report.html").read_text()
    assert "8 runs of 2 algorithms in 2 cells" in page
    assert "<summary>8 trials</summary>" in page and "no part of this suite" not in page
    assert "seed9" not in (tuned / "scores.csv").read_text()
    table = tuning_table(load_records(tuned / "records").records)
    bold = {(table.rows[row][0], table.rows[row][2]) for row, _ in table.bold}
    assert bold == {
        ("vmas/navigation/mixed", "algorithm.alpha=3"),
        ("vmas/navigation/mixed", "trainer.lr=2"),
        ("vmas/speaker_listeners/medium", "algorithm.alpha=1, algorithm.tau=0.1"),
        ("vmas/speaker_listeners/medium", "trainer.lr=2"),
    }


def test_the_same_command_again_chooses_the_same_and_runs_nothing(
    tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: list[int] = []
    monkeypatch.setattr(running, "_run", fake_run(log=missing))
    before = (tuned / "report.html").read_bytes()
    run_suite(parse_suite("tuned", VALUES), tuned, progress=False)
    assert missing == [0, 0] and (tuned / "report.html").read_bytes() == before


def test_a_failed_trial_loses_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_run", fake_run(failing="algorithm.alpha=3"))
    with pytest.raises(SystemExit):
        run_suite(parse_suite("tuned", VALUES), tmp_path, progress=False)
    finals = [one for one in load_records(tmp_path / "records").records if not is_trial(one)]
    tried = {one.values["tried"][0] for one in finals if "omiga" in one.key}
    assert tried == {"algorithm.alpha=1"}
    assert "Failed: omiga__vmas-navigation" in (tmp_path / "report.html").read_text()


def test_without_a_whole_trial_an_algorithm_is_left_out_of_the_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_run", fake_run(failing="algorithm=omiga"))
    with pytest.raises(SystemExit):
        run_suite(parse_suite("tuned", VALUES), tmp_path, progress=False)
    scores = Scores.of(load_records(tmp_path / "records").records)
    assert scores.algorithms == ["bc"]
    assert (tmp_path / "report.html").read_text().count("Failed: omiga__") == 4


def test_a_trial_is_judged_by_its_last_five_evaluations_in_training(tmp_path: Path) -> None:
    record = fake_record(seed=3)
    training = [{"label": "training", "step": k, "returns": [float(k)], "lengths": [1]} for k in range(7)]
    final = {"label": "final", "step": 6, "returns": [100.0], "lengths": [1]}
    write_record(tmp_path, {**record, "evaluations": [*training, final]})
    (found,) = load_records(tmp_path).records
    assert trial_return(found) == (2 + 3 + 4 + 5 + 6) / 5


def test_the_first_of_equal_settings_is_chosen(tmp_path: Path) -> None:
    runs = parse_suite("tuned", VALUES).runs()[:2]
    trials = [(spec, f"bc__game__mixed__seed9__{number}") for number, spec in enumerate(runs)]
    for _, key in trials:
        write_record(tmp_path, {**fake_record(seed=9), "key": key})
    records = {one.key: one for one in load_records(tmp_path).records}
    assert choose(trials, records) == {("bc", "vmas/navigation/mixed"): ("trainer.lr=1",)}


@pytest.mark.parametrize("tune", [[], ["algorithm.alpha=1"], ["algorithm.alpha=1", "algorithm.alpha=1"]])
def test_unequal_effort_is_refused(tune: list[str]) -> None:
    algorithms = {**VALUES["algorithms"], "omiga": {"tune": tune}}
    with pytest.raises(SettingsError, match=rf"tuning_trials=2 settings .* got {len(set(tune))} for omiga"):
        parse_suite("tuned", {**VALUES, "algorithms": algorithms})


def test_an_untuned_protocol_tries_nothing() -> None:
    protocol = {**VALUES["protocol"], "tuning_trials": 0}
    runs = parse_suite("tuned", {**VALUES, "protocol": protocol}).runs()
    assert {run.seed for run in runs} == {0, 1} and {run.tried for run in runs} == {()}
    assert {one for run in runs if run.label == "omiga" for one in run.overrides[1:]} == {"algorithm.alpha=9"}
