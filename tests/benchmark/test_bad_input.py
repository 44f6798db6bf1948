"""What can be wrong with a suite, its data and its records: one clear message each, and nothing lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from omiga_torchrl.benchmark import load_records, parse_suite, run_suite, write_record
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.suite import Suite
from omiga_torchrl.command_line import find_mistakes
from omiga_torchrl.errors import DataError, SettingsError, StorageError
from tests.benchmark.fake_records import fake_record
from tests.recipes.in_process import RECIPES, load

pytest.importorskip("matplotlib")


def suite(**cell: Any) -> Suite:
    cells = {"navigation": {"task": "vmas/navigation", "tiers": ["mixed"], **cell}}
    protocol = {"name": "fake", "seeds": [0, 1, 2]}
    return parse_suite("mine", {"protocol": protocol, "cells": cells, "algorithms": {"bc": {}}})


def write(out: Path, seeds: tuple[int, ...], **changed: Any) -> list[Path]:
    """Records of the suite's own runs."""
    keys = {spec.seed: key for spec, key in Grid(suite(), out).specs}
    return [
        write_record(out / "records", fake_record(seed=one, **{"key": keys[one], **changed})) for one in seeds
    ]


def report(out: Path) -> str:
    run_suite(suite(), out, report_only=True, progress=False)
    return (out / "report.html").read_text()


def test_an_unknown_suite_is_named_with_the_nearest() -> None:
    config = load("benchmark").BenchmarkConfig
    (told,) = find_mistakes("benchmark", ["suite=qick"], config, RECIPES / "configs")
    assert "unknown suite 'qick'; did you mean 'quick'?" in told


def test_a_misspelt_cell_is_named() -> None:
    """`suite.cells.balnce.transitions=5` on the command line makes a new cell."""
    with pytest.raises(SettingsError, match=r"cells\.balnce has no task; expected a task and its tiers"):
        parse_suite("mine", {"cells": {"balnce": {"transitions": 5}}, "algorithms": {"bc": {}}})
    with pytest.raises(SettingsError, match=r"cells\.navigation has no tiers"):
        suite(tiers=[])


def test_data_that_are_not_here_are_missed_before_work_begins(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no data of vmas/navigation/poor; expected a bundled dataset"):
        run_suite(suite(tiers=["poor"]), tmp_path / "out", progress=False)
    cell = {"task": "mujoco/hopper-3x1", "tiers": ["expert"], "published": "omiga:hopper-3x1/{tier}"}
    with pytest.raises(
        SettingsError, match=r"expected the file of omiga:hopper-3x1/expert\. Set transitions"
    ):
        run_suite(suite(**cell), tmp_path / "out", data_root=str(tmp_path), progress=False)
    assert not (tmp_path / "out").exists()


def test_fewer_seeds_than_asked_for_are_told(tmp_path: Path) -> None:
    write(tmp_path, (0, 2))
    page = report(tmp_path)
    assert "1 of 3 runs are missing: bc__vmas-navigation__mixed__seed1__" in page
    assert "seeds&#x27; returns" in page  # points, no interval
    write(tmp_path, (1,))
    assert "are missing" not in report(tmp_path)


def test_without_records_nothing_is_reported(tmp_path: Path) -> None:
    assert run_suite(suite(), tmp_path, report_only=True, progress=False) == 0
    assert not (tmp_path / "report.html").exists()


def test_a_damaged_record_is_set_aside_and_named_in_the_report(tmp_path: Path) -> None:
    _, bad = write(tmp_path, (0, 1))
    bad.write_text("{")
    page = report(tmp_path)
    assert f"{bad.name}.damaged: set aside." in page and "2 of 3 runs are missing" in page
    assert bad.with_name(f"{bad.name}.damaged").exists() and not bad.exists()
    write(tmp_path, (1,))  # run again
    page = report(tmp_path)
    assert "set aside earlier" in page and "1 of 3 runs are missing" in page


def test_two_results_of_one_run_stop_the_report(tmp_path: Path) -> None:
    one, _ = write(tmp_path, (0, 1))
    write(tmp_path / "other machine", (0,), evaluations=fake_record(seed=7)["evaluations"])
    (tmp_path / "other machine" / "records").rename(tmp_path / "records" / "other")
    before = one.read_bytes()
    with pytest.raises(DataError, match=r"holds another result of this run than .*: evaluations differ"):
        report(tmp_path)
    assert one.read_bytes() == before and not (tmp_path / "report.html").exists()


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = write(tmp_path, (0,))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _full)
        with pytest.raises(StorageError, match="cannot be written: No space left on device"):
            write(tmp_path, (1,))
    found = load_records(tmp_path / "records")
    assert [record.path for record in found.records] == [one] and not found.notes
    assert list((tmp_path / "records").iterdir()) == [one]


def _full(handle: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_no_seeds_are_a_mistake_not_the_protocols() -> None:
    with pytest.raises(SettingsError, match=r"seeds is \[\]; expected at least one"):
        parse_suite("mine", {"cells": {}, "algorithms": {"bc": {}}, "seeds": []})
