"""Runs that have failed: kept beside the records, and counted wherever means of the others are shown."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from omiga_torchrl.benchmark import load_records, parse_suite, write_benchmark_report, write_record
from omiga_torchrl.benchmark.failures import Failure, load_failures, write_failure
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.results import render_results
from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.tables import best_of_cell, cell_table, overview, ranking
from omiga_torchrl.errors import DataError
from tests.benchmark.fake_records import CELLS, fake_record, write_fakes

pytest.importorskip("matplotlib")

DIVERGED = Failure(
    "omiga__vmas-navigation__mixed__seed5__0a1b2c3d",
    *("omiga", "vmas/navigation", "mixed", 5),
    trial=False,
    command=["train", "seed=5"],
    reason="NonFiniteError: 'loss_qvalue' is inf at step 7,964",
)


def fakes(folder: Path, *failures: Failure) -> Scores:
    write_fakes(folder / "records", seeds=5)
    for one in failures:
        write_failure(folder / "records", one)
    return Scores.of(load_records(folder / "records").records, load_failures(folder / "records"))


def test_a_mean_of_the_survivors_says_so_and_is_not_compared(tmp_path: Path) -> None:
    whole, scores = fakes(tmp_path), fakes(tmp_path, DIVERGED)
    assert best_of_cell(whole, CELLS[0]) == {"omiga"} and not best_of_cell(scores, CELLS[0])
    assert best_of_cell(scores, CELLS[1]) == {"omiga"}
    before, after = (one.rows[scores.cells.index(CELLS[0])] for one in map(overview, (whole, scores)))
    assert after[2] == f"{before[2]} (1 of 6 failed)" and after[1] == before[1]
    assert [row[0] for row in cell_table(scores, CELLS[0]).rows[:2]] == ["bc", "omiga"]
    assert whole.complete == ["bc", "omiga"] and scores.complete == ["bc"]


def test_without_any_record_it_has_no_number(tmp_path: Path) -> None:
    lost = replace(DIVERGED, key="cql__vmas-navigation__mixed__seed0__00000000", algorithm="cql", seed=0)
    scores = fakes(tmp_path, lost)
    assert scores.algorithms == ["bc", "cql", "omiga"]
    rows = {row[0]: row for row in overview(scores).rows}
    assert rows[CELLS[0]][2] == "(1 of 1 failed)" and rows[CELLS[1]][2] == ""
    assert cell_table(scores, CELLS[0]).rows[2][:4] == ["cql", "0", "(1 of 1 failed)", ""]
    nowhere = replace(lost, task="vmas/other", key="cql__vmas-other__mixed__seed0__00000000")
    assert fakes(tmp_path, nowhere).cells == scores.cells  # named in a note alone


def test_settings_of_one_name_keep_their_own_failures(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    for digest, alpha in (("0a1b2c3d", 1), ("99999999", 3)):
        key = DIVERGED.key.replace("seed5", "seed0").replace("0a1b2c3d", digest)
        identity = {
            "algorithm": {"name": "omiga", "alpha": alpha},
            "data": {"fingerprint": "f" * 64},
            "seed": 0,
        }
        write_record(folder, fake_record("omiga", key=key, identity=identity))
    write_failure(folder, DIVERGED)
    scores = Scores.of(load_records(folder).records, load_failures(folder))
    failed = {name: len(entry.failed) for (_, name), entry in scores.entries.items()}
    assert failed == {"omiga [alpha=1]": 1, "omiga [alpha=3]": 0}


def test_reports_exports_and_results_name_it(tmp_path: Path) -> None:
    fakes(tmp_path / "fake", DIVERGED, replace(DIVERGED, trial=True, seed=1000, key=f"{DIVERGED.key}0"))
    tables = render_results(tmp_path)
    assert "(1 of 6 failed)" in tables["fake"]
    page = (tmp_path / "fake" / "report.html").read_text()
    assert "Failed: omiga in vmas/navigation/mixed, seed 5: NonFiniteError: " in page
    assert "Failed: omiga in vmas/navigation/mixed, trial with seed 1000: " in page
    rows = list(csv.DictReader((tmp_path / "fake" / "scores.csv").read_text().splitlines()))
    (row,) = [one for one in rows if one["record"].endswith(".failed")]
    assert (row["algorithm"], row["seed"], row["final"]) == ("omiga", "5", "")


def test_a_later_attempt_that_finishes_counts(tmp_path: Path) -> None:
    fakes(tmp_path, DIVERGED)
    write_record(tmp_path / "records", fake_record("omiga", CELLS[0], 5, 0.9))
    assert not load_failures(tmp_path / "records")
    write_benchmark_report(load_records(tmp_path / "records").records, tmp_path, "whole")
    assert "Failed" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("text", ["{", '{"key": "a"}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = write_failure(tmp_path, DIVERGED)
    path.write_text(text)
    with pytest.raises(DataError, match=r"seed5__0a1b2c3d\.failed .*Remove it: the run is tried again"):
        load_failures(tmp_path)


def test_of_runs_that_train_together_the_failed_ones_alone_are_kept(tmp_path: Path) -> None:
    cells = {"navigation": {"task": "vmas/navigation", "tiers": ["mixed"]}}
    small = {"train": ["algorithm.hidden_sizes=[8]"], "seeds": [0, 1]}
    grid = Grid(parse_suite("small", {"cells": cells, "algorithms": {"bc": {}}, **small}), tmp_path)
    (train,) = [job for job in grid.jobs() if job.runs == 2]
    (_, first), (_, second) = grid.specs
    write_record(grid.records, fake_record(key=first))
    train.failed(train, "ValueError: no")
    assert len(list(grid.records.glob("*.failed"))) == 1
    (failure,) = load_failures(grid.records)
    assert (failure.key, failure.seed, failure.reason) == (second, 1, "ValueError: no")
    assert failure.command == list(train.command) and not failure.trial


def test_an_algorithm_of_which_a_run_failed_is_nowhere_the_best(tmp_path: Path) -> None:
    assert ranking(fakes(tmp_path)).rows == [["omiga", "2", "2", "2", "0"], ["bc", "2", "0", "0", "0"]]
    failed = ranking(fakes(tmp_path, DIVERGED))
    assert failed.rows == [["bc", "2", "1", "1", "0"], ["omiga", "2", "1", "1", "1"]]
