"""Device, compilation and several runs at once from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omiga_torchrl.report import load_runs

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = (
    *("trainer.steps=6", "trainer.batch_size=8", "trainer.progress_bar=false", "trainer.log_interval=2"),
    *("evaluation.interval=3", "evaluation.episodes=4", "evaluation.final_episodes=4"),
    *("algorithm.hidden_sizes=[8]", "out=runs"),
)


def run(recipe: str, folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RECIPES / f"{recipe}.py"), *overrides]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "arguments", "nearest"),
    [
        ("train", ["+devcie=cuda"], "unknown key 'devcie'; did you mean 'device'"),
        ("train", ["+trainer.batchsize=3"], "unknown key 'batchsize'; did you mean 'batch_size'"),
        ("evaluate", ["policy=x", "+episode=3"], "unknown key 'episode'; did you mean 'episodes'"),
        ("report", ["runs=x", "out=y", "+run=z"], "unknown key 'run'; did you mean 'runs'"),
    ],
)
def test_unknown_keys_are_errors(tmp_path: Path, recipe: str, arguments: list[str], nearest: str) -> None:
    done = run(recipe, tmp_path, *arguments)
    assert done.returncode != 0
    assert nearest in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="has one")
def test_an_absent_device_stops_before_anything_is_written(tmp_path: Path) -> None:
    done = run("train", tmp_path, "device=cuda", *SMALL)
    assert done.returncode != 0
    assert "device must be one that is here, got 'cuda' with 0 CUDA devices" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_seeds_at_once_have_a_folder_each_and_resume(tmp_path: Path) -> None:
    arguments = ["algorithm=bc", "vectorize=true", "seeds=0,1", *SMALL]
    done = run("train", tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert folders == [f"bc__vmas-navigation__mixed__seed{seed}" for seed in (0, 1)]
    for name in folders:
        folder = tmp_path / "runs" / name
        assert (folder / "policy.pt").is_file()
        assert (folder / "checkpoints" / "step_00000006.pt").is_file()
        assert len((folder / "evaluations.jsonl").read_text().splitlines()) == 4
    again = run("train", tmp_path, *arguments, "existing=resume")
    assert again.returncode == 0, again.stderr


def test_evaluations_in_the_background_have_the_same_numbers(tmp_path: Path) -> None:
    found = []
    for background in ("false", "true"):
        (folder := tmp_path / background).mkdir()
        done = run("train", folder, "algorithm=bc", f"background_evaluation={background}", *SMALL)
        assert done.returncode == 0, done.stderr
        (one,) = load_runs(folder / "runs")
        found.append([(line.step, line.label, line.returns) for line in one.evaluations])
    assert [line[:2] for line in found[0]] == [
        (3, "training"),
        (6, "training"),
        (6, "final"),
        (found[0][-1][0], "best"),
    ]
    assert found[0] == found[1]
