"""The best policy of a training, kept for a fresh evaluation."""

from __future__ import annotations

from pathlib import Path

import torch

from omiga_torchrl.report import RunInfo, RunWriter
from omiga_torchrl.trainers.best import BestPolicy


def judge(best: BestPolicy, network: torch.nn.Linear, step: int, result: float) -> None:
    """An evaluation whose network has the step as its weight."""
    torch.nn.init.constant_(best.judged(network).weight, float(step))
    best.judged(network)
    torch.nn.init.constant_(network.weight, -1.0)  # training has gone on when the result comes
    best.run.evaluation(step, "training", returns=[result])
    best.keep(step)


def weight(best: BestPolicy, network: torch.nn.Linear) -> tuple[int, float]:
    found = best.restored(network)
    assert found is not None and found.policy is not network
    return found.step, float(found.policy.weight.detach())


def test_the_weights_that_were_judged_best_come_back(tmp_path: Path) -> None:
    best, network = BestPolicy(RunWriter(tmp_path, RunInfo("bc", "game", "mixed", 0))), torch.nn.Linear(1, 1)
    assert best.restored(network) is None
    for step, result in ((10, 1.0), (20, 3.0), (30, 2.0), (40, 3.0)):
        judge(best, network, step, result)
    assert weight(best, network) == (20, 20.0) and float(network.weight.detach()) == -1.0
    assert {file.name for file in (best.run.path / "best").iterdir()} == {"step_10.pt", "step_20.pt"}
    best.prune()
    assert [file.name for file in (best.run.path / "best").iterdir()] == ["step_20.pt"]


def test_a_run_that_goes_back_forgets_what_came_later(tmp_path: Path) -> None:
    run = RunWriter(tmp_path, RunInfo("bc", "game", "mixed", 0))
    best, network = BestPolicy(run), torch.nn.Linear(1, 1)
    for step, result in ((10, 1.0), (20, 2.0), (30, 9.0)):
        judge(best, network, step, result)
    run.cut_back(20)
    assert weight(best, network) == (20, 20.0)
    judge(best, network, 30, 1.5)  # other random numbers, another result
    assert weight(BestPolicy(run), network) == (20, 20.0)
