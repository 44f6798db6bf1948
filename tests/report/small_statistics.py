"""Statistics of a small made-up dataset, for tests of the report."""

from __future__ import annotations

import torch

from omiga_torchrl.data.statistics.dataset_statistics import DatasetStatistics, dataset_statistics
from omiga_torchrl.specs import TeamSpec


def small_statistics(agents: int = 2, *, discrete: bool = False, **references: float) -> DatasetStatistics:
    """Thirty episodes of ten steps; actions are normal, or 0, 1 and 2 of three."""
    torch.manual_seed(0)
    data = TeamSpec(agents, 4, 3, 4 * agents, discrete=discrete).fake_batch(300)
    if not discrete:
        data["agents", "action"].normal_()
    data["episode"] = torch.arange(300) // 10
    done = (torch.arange(300) % 10 == 9)[:, None]
    for name, value in (("done", done), ("terminated", torch.zeros_like(done)), ("truncated", done)):
        data["next", name] = value
    # A jackpot in one step of 300.
    data["next", "reward"] = torch.ones(300, 1)
    data["next", "reward"][17] = 50.0
    return dataset_statistics(data, **references)
