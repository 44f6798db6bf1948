"""Made-up runs for tests of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omiga_torchrl.report import RunInfo, RunWriter

FINAL = {"bc": 1.05, "omiga": 2.8}
REFERENCES = {"behaviour_return": 1.0, "best_checkpoint_return": 2.85, "random_return": -0.45}


def write_runs(root: Path, tasks: tuple[str, ...] = ("vmas/navigation",), seeds: int = 3) -> None:
    """Runs of two algorithms whose curves rise to `FINAL`."""
    generator = np.random.default_rng(0)
    for task in tasks:
        for algorithm, level in FINAL.items():
            for seed in range(seeds):
                info = RunInfo(algorithm, task, "mixed", seed, {"alpha": 0.3, "lr": 5e-4}, **REFERENCES)
                writer = RunWriter(root, info)
                for step in range(0, 5001, 500):
                    mean = -0.45 + (level + 0.45) * (1 - np.exp(-step / 900)) + 0.08 * generator.normal()
                    returns = (mean + generator.normal(size=20) * 0.3).tolist()
                    writer.evaluation(step, "training", returns=returns, lengths=[100] * 20)
                writer.evaluation(5000, "final", returns=[level - 0.1 + 0.1 * seed] * 2, lengths=[100, 100])
