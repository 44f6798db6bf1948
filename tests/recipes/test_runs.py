"""Folders, sweeps and signals from the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = (
    *("algorithm=bc", "algorithm.hidden_sizes=[8]", "trainer.batch_size=8", "trainer.progress_bar=false"),
    *("evaluation.interval=3", "evaluation.episodes=2", "evaluation.final_episodes=2", "out=runs"),
)
RUN = "bc__vmas-navigation__mixed__seed0"

pytestmark = pytest.mark.slow


def command(*overrides: str) -> list[str]:
    options = [one for one in overrides if one.startswith("-")]  # Hydra takes overrides in one piece
    given = [one for one in overrides if not one.startswith("-")]
    return [sys.executable, str(RECIPES / "train.py"), *options, *SMALL, *given]


def train(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("trainer.steps=6", *overrides),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]


def test_a_sweep_with_a_broken_cell_finishes_the_others(tmp_path: Path) -> None:
    grid = ("-m", "trainer.lr=1e-3,-1e-3,2e-3", "seed=0,1")
    done = train(tmp_path, *grid)
    assert done.returncode == 1, done.stderr
    assert "2 of the sweep's jobs failed, the others are done" in done.stderr
    assert done.stderr.count("trainer.lr is -0.001; expected a number > 0") >= 2
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert folders == [
        f"bc-lr-{lr}__vmas-navigation__mixed__seed{seed}" for lr in ("0.001", "0.002") for seed in (0, 1)
    ]
    assert all(lines(tmp_path / "runs" / name)[-1]["label"] == "best" for name in folders)
    again = train(tmp_path, *grid, "existing=keep")  # a grid restarts where it was
    assert again.returncode == 1 and again.stdout.count("is finished and is kept") == 4
    assert all(len(lines(tmp_path / "runs" / name)) == 4 for name in folders)


def test_nine_cells_one_broken_are_eight_results_and_a_named_failure(tmp_path: Path) -> None:
    """16 rows are no whole number of slices of 12 steps."""
    sizes, slices = (16, 24, 48), (4, 8, 12)
    swept = (
        f"trainer.batch_size={','.join(map(str, sizes))}",
        f"algorithm.slice_len={','.join(map(str, slices))}",
    )
    done = train(tmp_path, "-m", *swept)
    assert done.returncode == 1 and "1 of the sweep's jobs failed, the others are done" in done.stderr
    (failure,) = [line for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert "trainer.batch_size=16" in failure and "algorithm.slice_len=12" in failure
    assert "trainer.batch_size is 16; expected a multiple of algorithm.slice_len=12" in done.stderr
    folders = {path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()}
    assert folders == {
        f"bc-batch_size-{size}-slice_len-{steps}__vmas-navigation__mixed__seed0"
        for size in sizes
        for steps in slices
        if size % steps == 0
    }
    finals = [lines(tmp_path / "runs" / name)[-1]["label"] for name in folders]
    assert finals == ["best"] * 8


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_is_one_line_and_a_checkpoint(tmp_path: Path, sent: int, code: int) -> None:
    job = subprocess.Popen(
        command("trainer.steps=900000", "evaluation.interval=900000", "compile=none"),
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    log = tmp_path / "runs" / RUN / "log" / "scalars" / "loss_actor.csv"
    for _ in range(2400):
        if log.is_file():
            break
        time.sleep(0.1)
    job.send_signal(sent)
    text = job.communicate(timeout=120)[1]
    assert job.returncode == code, text
    (line,) = text.strip().splitlines()
    assert line.startswith("train: stopped after step") and "existing=resume goes on" in line
    (checkpoint,) = (tmp_path / "runs" / RUN / "checkpoints").glob("step_*.pt")
    assert checkpoint.name in line


def test_extending_goes_on_from_the_end(tmp_path: Path) -> None:
    assert train(tmp_path, "trainer.lr_schedule=null").returncode == 0
    for out, existing in (("runs", "extend"), ("whole", "error")):
        options = ("trainer.steps=9", "trainer.lr_schedule=null", f"existing={existing}")
        longer = [one.replace("out=runs", f"out={out}") for one in command(*options)]
        done = subprocess.run(longer, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    parts, whole = lines(tmp_path / "runs" / RUN), lines(tmp_path / "whole" / RUN)
    assert [one["step"] for one in parts if one["label"] != "best"] == [3, 6, 6, 9, 9]
    assert parts[-1]["returns"] == whole[-1]["returns"]


def test_the_record_says_how_it_was_made(tmp_path: Path) -> None:
    assert train(tmp_path).returncode == 0
    record = json.loads((tmp_path / "runs" / RUN / "run.json").read_text())
    audit, identity = record["audit"], record["identity"]
    assert audit["finished"] and audit["sessions"][0]["peak_memory"]["process_mib"] > 100
    assert audit["config"]["trainer"]["steps"] == 6 and any("train.py" in one for one in audit["command"])
    assert len(identity["data"]["fingerprint"]) == 64 and identity["trainer"]["steps"] == 6
    changed = ("trainer.log_interval=5", "logger=null", "evaluation.interval=2", "trainer.save_interval=1")
    again = train(tmp_path, *changed, "existing=resume")  # nothing of these decides a result
    assert again.returncode == 0 and "is finished and is kept" in again.stdout
