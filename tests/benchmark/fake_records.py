"""Made-up records for tests of reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.benchmark import write_record

CELLS = ("vmas/navigation/mixed", "vmas/balance/medium")
LEVELS = {"bc": 0.3, "omiga": 0.9}


def fake_record(
    algorithm: str = "bc", cell: str = CELLS[0], seed: int = 0, level: float = 0.3, **changed: Any
) -> dict[str, Any]:
    """A record whose training rises to ``level``, where random actions have -1 and the best behaviour 1."""
    task, _, dataset = cell.rpartition("/")
    generator = np.random.default_rng([seed, len(algorithm), len(cell)])
    mean = 2 * level - 1 + 0.05 * float(generator.normal())

    def evaluation(label: str, step: int, value: float) -> dict[str, Any]:
        returns = np.round(value + 0.1 * generator.normal(size=8), 4).tolist()
        return {"label": label, "step": step, "returns": returns, "lengths": [20]}

    training = [evaluation("training", step, -1 + (mean + 1) * step / 100) for step in range(20, 101, 20)]
    values = {
        "name": "global_qvalue",
        "steps": [10, 100],
        "values": [0.0, 1.0],
        "pace": 1.0,
        "trend": "rising",
    }
    record = {
        "key": f"{algorithm}__{task.replace('/', '-')}__{dataset}__seed{seed}__0a1b2c3d",
        **{"algorithm": algorithm, "task": task, "dataset": dataset, "seed": seed},
        "protocol": {
            "name": "fake",
            "version": 1,
            "interval": 20,
            "episodes": 8,
            "final_episodes": 8,
            "seed": 0,
        }
        | {"steps": 100},
        "date": "2026-01-01T00:00:00+00:00",
        **{"command": ["python"], "config": {"algorithm": {"name": algorithm}}, "versions": {"vmas": "1.5"}},
        "identity": {"algorithm": {"name": algorithm}, "data": {"fingerprint": "f" * 64}, "seed": seed},
        "references": {"behaviour": 0.0, "best_checkpoint": 1.0, "random": -1.0},
        "data": {
            **{"source": "recording", "fingerprint": "f" * 64, "transitions": 100, "unique_joint": 90},
            **{"episodes": 10, "duplicate_episodes": 1, "terminated": 0.5, "truncated": 0.5, "tq": 0.5},
            "return": {"mean": 0.0, "std": 0.5, "minimum": -1.0, "maximum": 1.5},
            "histogram": {"edges": [-1.0, 0.0, 1.5], "counts": [4, 6]},
        },
        "evaluations": [*training, evaluation("final", 100, mean), evaluation("best", 80, mean + 0.1)],
        "values": None if algorithm == "bc" else values,
        "cost": {"wall_seconds": 3.0, "cpu_seconds": 2.5, "peak_memory_mib": 400.0, "sessions": 1}
        | {"runs_together": 1},
    }
    return {**record, **changed}


def write_fakes(folder: Path, seeds: int = 3) -> None:
    """Two algorithms in two cells."""
    for cell in CELLS:
        for algorithm, level in LEVELS.items():
            for seed in range(seeds):
                write_record(folder, fake_record(algorithm, cell, seed, level))
