"""The tutorials run from beginning to end, with trainings of a few steps."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from omiga_torchrl import trainers

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.py"))


class ShortTrainer(trainers.OfflineTrainer):
    """Three steps of every training."""

    def __init__(self, *, total_steps: int, **kwargs):
        super().__init__(total_steps=min(total_steps, 3), **kwargs)


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(trainers, "OfflineTrainer", ShortTrainer)
    runpy.run_path(str(script))
