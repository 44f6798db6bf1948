"""Records that were made with other defaults: named before work begins, and in reports."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl.benchmark import load_records, parse_suite, run_suite, write_record
from omiga_torchrl.benchmark.defaults import changed_defaults, mixed_defaults
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.report import write_benchmark_report
from tests.benchmark.fake_records import CELLS, fake_record
from tests.recipes.in_process import configs, load

pytest.importorskip("matplotlib")
OLD = {
    "algorithm": {"name": "omiga", "alpha": "auto", "target": 0.4, "label": "a"},
    "trainer": {"lr": 1e-3, "log_interval": 5},
}
NEW = {
    "algorithm": {"name": "omiga", "alpha": "auto", "target": None, "new": 1},
    "trainer": {"lr": 1e-3, "log_interval": 5},
}


def write(folder: Path, seed: int, config: Mapping[str, Any], cell: str = CELLS[0], **changed: Any) -> None:
    write_record(folder, fake_record("omiga", cell, seed, config=config, **changed))


@pytest.mark.parametrize("cell", CELLS)
def test_a_report_says_where_a_row_has_two_defaults(tmp_path: Path, cell: str) -> None:
    """Also of two cells: a row's aggregate is over both."""
    write(tmp_path, 0, OLD)
    write(tmp_path, 1, NEW, cell)
    write(tmp_path, 2, NEW, cell)
    found = load_records(tmp_path).records
    (told,) = mixed_defaults(found)
    assert re.search(
        r"of omiga are of .* defaults: algorithm\.target (0\.4 and None|None and 0\.4), e\.g\. omiga__", told
    )
    assert html.escape(told) in write_benchmark_report(found, tmp_path, "two").read_text()


def test_settings_that_were_asked_for_may_differ(tmp_path: Path) -> None:
    write(tmp_path, 0, OLD)
    write(tmp_path, 1, NEW, key="omiga__vmas-navigation__mixed__seed1__99999999")
    write(tmp_path, 2, {**OLD, "trainer": {"lr": 1e-3, "log_interval": 7}, "out": "elsewhere"})
    assert mixed_defaults(load_records(tmp_path).records) == []


def made_with(folder: Path, config: Mapping[str, Any], seeds: Sequence[int]) -> Any:
    """A suite of which these seeds are done."""
    suite = parse_suite(
        "mine",
        {
            "protocol": {"name": "fake", "seeds": [0, 1, 2]},
            "cells": {"navigation": {"task": "vmas/navigation", "tiers": ["mixed"]}},
            "algorithms": {"omiga": {"train": ["algorithm.alpha=auto"]}},
        },
    )
    for spec, key in Grid(suite, folder).specs:
        if spec.seed in seeds:
            write(folder / "records", spec.seed, config, key=key)
    return suite


def test_records_of_former_defaults_are_named_before_work_begins(tmp_path: Path) -> None:
    suite = made_with(tmp_path, OLD, (0, 1))
    specs = Grid(suite, tmp_path).specs
    records = load_records(tmp_path / "records").records
    asked: list[Sequence[str]] = []

    def resolve(overrides: Sequence[str]) -> Mapping[str, Any]:
        asked.append(overrides)
        return NEW

    (told,) = changed_defaults(records, specs, resolve)
    assert told.startswith("2 records of omiga count as done, but were made with other defaults")
    assert "algorithm.target 0.4, now None. " in told and specs[0][1] in told
    assert asked == [("algorithm=omiga", "algorithm.alpha=auto")]  # once for all seeds
    assert changed_defaults(records, specs, lambda overrides: OLD) == []


def test_a_suite_tells_it_in_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What an upgrade of the library in the midst of a grid does; nothing is left to run here."""
    suite = made_with(tmp_path, OLD, (0, 1, 2))
    facts = tmp_path / "data" / "vmas" / "navigation" / "mixed" / "statistics.json"
    facts.parent.mkdir(parents=True)
    facts.write_text('{"transitions": 1}')
    with caplog.at_level(logging.WARNING):
        assert run_suite(suite, tmp_path, resolve=lambda overrides: NEW, progress=False) == 1.0
        assert [one for one in caplog.messages if "3 records of omiga count as done" in one]
        caplog.clear()
        run_suite(suite, tmp_path, resolve=lambda overrides: NEW, report_only=True, progress=False)
        assert not caplog.messages


def test_a_suite_with_two_defaults_tells_it_before_work_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    suite = made_with(tmp_path, OLD, (0, 2))
    made_with(tmp_path, NEW, (1,))
    with caplog.at_level(logging.WARNING):
        run_suite(suite, tmp_path, report_only=True, progress=False)
    assert [one for one in caplog.messages if "versions with different defaults" in one]


def test_the_recipe_resolves_what_a_run_is_asked_for() -> None:
    pytest.importorskip("hydra")
    with configs("train"):
        found = load("benchmark").train_settings(
            ["algorithm=omiga", "algorithm.alpha=auto", "trainer.steps=7"]
        )
    assert (
        found["algorithm"]["alpha"] == "auto" and found["algorithm"]["target_effective_sample_size"] is None
    )
    assert found["trainer"]["steps"] == 7 and "reward_scale" in found
