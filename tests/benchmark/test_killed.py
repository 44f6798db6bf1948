"""A suite from the command line, whole and killed at random instants: the same report."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from omiga_torchrl.benchmark import load_records, write_record
from omiga_torchrl.benchmark.failures import load_failures
from omiga_torchrl.benchmark.report import write_benchmark_report

pytest.importorskip("vmas")
pytest.importorskip("hydra")

ROOT = Path(__file__).parents[2]
SUITE = (
    *("suite=quick", "seeds=[0,1]", "out=grid", "~suite.algorithms.iql", "workers=2"),
    *("~suite.cells.speaker_listeners", "suite.cells.balance={tiers:[medium],transitions:300}"),
    "suite.train=['trainer=laptop','trainer.steps=90','trainer.batch_size=16','trainer.log_interval=5']",
    *("suite.protocol.evaluation.interval=10", "suite.protocol.evaluation.episodes=5"),
    "suite.protocol.evaluation.final_episodes=10",
)

pytestmark = pytest.mark.slow


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "recipes" / "benchmark.py"), *SUITE, *overrides],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def children(process: subprocess.Popen[str]) -> list[int]:
    file = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in file.read_text().split()] if file.exists() else []


def kill(process: subprocess.Popen[str], how: str) -> None:
    """As Ctrl-C, as a cluster, as a crash of the schedule alone, or as a power cut."""
    if how in ("SIGINT", "SIGTERM"):
        process.send_signal(getattr(signal, how))
        return
    workers = children(process)
    process.kill()
    for worker in workers if how == "power cut" else []:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def report_without_times(grid: Path, out: Path) -> dict[str, bytes]:
    for one in load_records(grid / "records").records:
        values = {name: value for name, value in one.values.items() if name not in ("schema", "sha256")}
        cost = {"wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_mib": 0.0, "runs_together": 1}
        write_record(out / "records", {**values, "date": "", "cost": cost})
    write_benchmark_report(load_records(out / "records").records, out, "title")
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_killed_at_five_instants_it_ends_in_the_same_report(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    text = whole.communicate(timeout=900)[0]
    assert whole.returncode == 0 and "8 of 8 runs have records" in text, text
    chance = random.Random(0)
    codes = {"SIGINT": {130}, "SIGTERM": {143}, "alone": {-9}, "power cut": {-9}}
    for how in ("SIGTERM", "power cut", "alone", "SIGINT", "power cut"):
        process = start(tmp_path / "parts")
        time.sleep(chance.uniform(10, 60))
        kill(process, how)
        text = process.communicate(timeout=300)[0]
        assert process.returncode in codes[how] | {0}, text
        if process.returncode > 0:
            assert "of 8 done, run the same command to continue." in text
    process = start(tmp_path / "parts")
    text = process.communicate(timeout=900)[0]
    assert process.returncode == 0 and "8 of 8 runs have records" in text, text
    first, second = (
        report_without_times(tmp_path / name / "grid", tmp_path / f"{name}-report")
        for name in ("whole", "parts")
    )
    assert first.keys() == second.keys() and "report.html" in first
    for name in first:
        assert first[name] == second[name], name


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    both = [start(tmp_path / "shared", "workers=1") for _ in range(2)]
    texts = [one.communicate(timeout=900)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], texts
    assert all("8 of 8 runs have records" in text for text in texts)
    sessions = [one.values["cost"]["sessions"] for one in load_records(tmp_path / "shared" / "grid").records]
    assert sessions == [1] * 8


def test_a_failing_run_is_named_and_the_others_are_reported(tmp_path: Path) -> None:
    wrong = "suite.algorithms.omiga={train:['algorithm.alpha=-1']}"
    process = start(tmp_path / "wrong", wrong, "seeds=[0]", "~suite.cells.balance")
    text = process.communicate(timeout=600)[0]
    assert process.returncode == 1
    assert "1 jobs failed, the others are done" in text and "got -1" in text
    page = (tmp_path / "wrong" / "grid" / "report.html").read_text()
    failed = "Failed: omiga in vmas/navigation/mixed, seed 0: "
    assert "1 of 2 runs are missing" in page and page.count(failed) == 1
    (failure,) = load_failures(tmp_path / "wrong" / "grid" / "records")
    assert failure.command[0] == "train" and "got -1" in failure.reason
    again = start(tmp_path / "wrong", wrong, "seeds=[0]", "~suite.cells.balance", "report_only=true")
    assert again.communicate(timeout=600) and again.returncode == 0
    assert (tmp_path / "wrong" / "grid" / "report.html").read_text() == page
