"""The schedule: order, deaths, failures, other processes and signals, with made-up workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from omiga_torchrl.benchmark import parse_suite
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.progress import ProgressBar
from omiga_torchrl.benchmark.schedule import Job, Outcome, Schedule
from omiga_torchrl.errors import DataError, SettingsError
from omiga_torchrl.trainers.interruption import TrainingInterrupted


class FakeLauncher:
    """Workers that make the file that their command names, or end with one of its codes."""

    def __init__(self, codes: dict[str, list[int]] | None = None) -> None:
        self.codes = codes or {}
        self.started: list[str] = []
        self.stopped: list[str] = []

    def start(self, command: Sequence[str], log: Path, handles: Sequence[int]) -> FakeWorker:
        self.started.append(log.stem)
        return FakeWorker(self, log.stem, Path(command[0]), self.codes.get(log.stem, []))


class FakeWorker:
    def __init__(self, launcher: FakeLauncher, name: str, result: Path, codes: list[int]) -> None:
        self.launcher, self.name, self.result, self.codes = launcher, name, result, codes

    def poll(self) -> int | None:
        if self.name in self.launcher.stopped:
            return 143
        code = self.codes.pop(0) if self.codes else 0
        if code == 1000:  # it runs for ever
            self.codes.insert(0, code)
            return None
        if code == 0:
            self.result.touch()
        return code

    def stop(self) -> None:
        self.launcher.stopped.append(self.name)

    def kill(self) -> None:
        self.stop()


def job(folder: Path, name: str, *after: str) -> Job:
    file = folder / f"{name}.done"
    return Job(name, (str(file),), file.exists, (name,), after)


def schedule(folder: Path, jobs: Sequence[Job], launcher: FakeLauncher, workers: int = 2) -> Outcome:
    return Schedule(jobs, launcher, folder, workers=workers, interval=0.001).run()


def test_what_others_need_comes_first_and_what_is_done_is_left_alone(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "data"), job(tmp_path, "train", "data"), job(tmp_path, "other")]
    (tmp_path / "other.done").touch()
    launcher = FakeLauncher()
    assert schedule(tmp_path, jobs, launcher).done == {"data", "train", "other"}
    assert launcher.started == ["data", "train"]
    assert schedule(tmp_path, jobs, launcher).done == {"data", "train", "other"}
    assert launcher.started == ["data", "train"]


def test_a_dead_worker_is_started_again_twice_at_most(tmp_path: Path) -> None:
    launcher = FakeLauncher({"recovers": [-9, 137], "dies": [-9, -9, -9]})
    outcome = schedule(tmp_path, [job(tmp_path, "recovers"), job(tmp_path, "dies")], launcher)
    assert outcome.done == {"recovers"} and launcher.started.count("recovers") == 3
    assert outcome.failures == {"dies": "its process died 3 times, the last time with -9"}
    assert launcher.started.count("dies") == 3


def test_a_failure_stops_only_what_needs_it(tmp_path: Path) -> None:
    launcher = FakeLauncher({"data": [1]})
    jobs = [job(tmp_path, "data"), job(tmp_path, "train", "data"), job(tmp_path, "other")]
    outcome = schedule(tmp_path, jobs, launcher)
    assert outcome.done == {"other"} and launcher.started.count("data") == 1
    assert outcome.failures["data"].startswith("exit code 1, see ")
    assert outcome.failures["train"] == "not run: data has failed"


def test_a_job_hears_of_its_own_failure_alone(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []
    jobs = [job(tmp_path, "data"), job(tmp_path, "train", "data"), job(tmp_path, "other")]
    jobs = [replace(one, failed=lambda job, reason: heard.append((job.name, reason))) for one in jobs]
    outcome = schedule(tmp_path, jobs, FakeLauncher({"data": [1]}))
    assert heard == [("data", outcome.failures["data"])]


def test_a_contradicting_record_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    def contradicts() -> bool:
        raise DataError("two results")

    broken = Job("broken", ("x",), contradicts, ("broken",))
    outcome = schedule(tmp_path, [broken, job(tmp_path, "other")], FakeLauncher())
    assert outcome.failures == {"broken": "two results"} and outcome.done == {"other"}


HOLD = """
import fcntl, pathlib, sys, time
lock, result = map(pathlib.Path, sys.argv[1:])
file = open(lock / ".lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
(lock / "held").touch()
time.sleep(1)
result.touch()
"""


def test_a_job_of_another_process_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "shared"
    lock.mkdir(parents=True)
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), str(tmp_path / "shared.done")])
    while not (lock / "held").exists():
        threading.Event().wait(0.02)
    launcher = FakeLauncher()
    outcome = schedule(tmp_path, [job(tmp_path, "shared"), job(tmp_path, "own")], launcher)
    other.wait()
    assert outcome.done == {"shared", "own"} and launcher.started == ["own"]


def test_a_signal_stops_the_workers_and_keeps_the_rest_for_later(tmp_path: Path) -> None:
    launcher = FakeLauncher({"endless": [1000]})
    jobs = [job(tmp_path, "endless"), job(tmp_path, "later", "endless")]
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(TrainingInterrupted) as stop:
        schedule(tmp_path, jobs, launcher)
    assert stop.value.exit_code == 143
    assert launcher.started == ["endless"] and launcher.stopped == ["endless"]
    assert not list(tmp_path.rglob(".lock"))


def test_a_full_disk_is_said_before_a_job_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    launcher = FakeLauncher()
    with pytest.raises(SettingsError, match=r"100 MiB are free .* run the same command to continue"):
        schedule(tmp_path, [job(tmp_path, "one")], launcher)
    assert not launcher.started and not list(tmp_path.rglob(".lock"))


@pytest.mark.parametrize("shown", [True, False])
def test_progress_may_be_hidden(tmp_path: Path, shown: bool, capfd: pytest.CaptureFixture[str]) -> None:
    suite = parse_suite("mine", {
        "protocol": {"name": "mine", "seeds": [0]}, "algorithms": {"bc": {}},
        "cells": {"xor": {"task": "tabular/xor", "tiers": ["experts"], "transitions": 10}},
    })  # fmt: skip
    grid = Grid(suite, tmp_path)
    jobs = grid.jobs()
    with ProgressBar(grid, jobs, shown=shown) as bar:
        bar.update(Outcome(), ["record__tabular-xor-experts"])
        bar.update(Outcome({job.name for job in jobs}), [])
    assert ("cells 1/1" in capfd.readouterr().err) == shown


def test_logs_give_the_reason(tmp_path: Path) -> None:
    class Telling(FakeLauncher):
        def start(self, command: Sequence[str], log: Path, handles: Sequence[int]) -> FakeWorker:
            log.parent.mkdir(exist_ok=True)
            log.write_text("some text\nerror: train: lr is -1; expected a number > 0.\n")
            return super().start(command, log, handles)

    outcome = schedule(tmp_path, [job(tmp_path, "one")], Telling({"one": [1]}))
    assert json.dumps(outcome.failures) == json.dumps({"one": "train: lr is -1; expected a number > 0."})
