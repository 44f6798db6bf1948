"""The tutorials run from beginning to end, with trainings, fits and evaluations of a few steps."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from omiga_torchrl import trainers
from omiga_torchrl.evaluation import EvaluationResult, Protocol
from omiga_torchrl.selection import FQEConfig
from omiga_torchrl.trainers import runs
from omiga_torchrl.trainers.options import TrainerOptions

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.py"))


class ShortTrainer(trainers.OfflineTrainer):
    """Three steps of every training."""

    def __init__(self, *, total_steps: int, **kwargs):
        super().__init__(total_steps=min(total_steps, 3), **kwargs)


def shortened(**numbers: int) -> Any:
    """A ``__post_init__`` that sets these fields instead of checking what was given."""

    def post_init(self: Any) -> None:
        for name, number in numbers.items():
            object.__setattr__(self, name, number)

    return post_init


def play_briefly(policy: Any, env: Any, **_: Any) -> EvaluationResult:
    """Two steps of every environment in place of whole episodes."""
    returns = env.rollout(2, policy)["next", "reward"].sum((-2, -1)).double()
    return EvaluationResult(
        returns, torch.full(returns.shape, 2), torch.zeros(returns.shape, dtype=torch.bool)
    )


@pytest.mark.parametrize("script", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(trainers, "OfflineTrainer", ShortTrainer)
    monkeypatch.setattr(runs, "evaluate", play_briefly)
    for settings, numbers in (
        (TrainerOptions, {"steps": 3}),
        (FQEConfig, {"steps": 3, "behavior_steps": 3}),
        (Protocol, {"episodes": 4, "final_episodes": 4}),
    ):
        monkeypatch.setattr(settings, "__post_init__", shortened(**numbers))
    runpy.run_path(str(script))
