"""Many steps of every algorithm: memory and open files stay as they are, and runs repeat bit for bit.

``SOAK_STEPS=100000`` sets the number of steps: from 20,000 on they are compiled, as in every training.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer
from tests.trainers.toy import identical

STEPS = int(os.environ.get("SOAK_STEPS", "2000"))
MOST_GROWTH = 20 * 2**20

pytestmark = pytest.mark.slow


def make_trainer(name: str, steps: int, **options: Any) -> OfflineTrainer:
    discrete = "continuous" not in ALGORITHMS[name].actions
    spec = TeamSpec(2, 3, 2, 4, discrete=discrete)
    length = (4,) if ALGORITHMS[name].sequences else ()
    torch.manual_seed(0)
    rows = spec.fake_batch(64, *length)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(64), batch_size=4)
    buffer.extend(rows)
    parts = make_algorithm(name, spec, hidden_sizes=[4])
    return OfflineTrainer(
        **parts.trainer_arguments, replay_buffer=buffer, total_steps=steps, progress_bar=False, seed=0,
        log_interval=100, compile="auto", **options,
    )  # fmt: skip


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Watch:
    """Memory and open files after a tenth of the steps, and at the end."""

    def __init__(self, trainer: OfflineTrainer, steps: int) -> None:
        self.trainer, self.at = trainer, (steps // 10, steps)
        self.memory: list[int] = []
        self.files: list[int] = []

    def __call__(self, batch: Any = None) -> None:
        if self.trainer.step_count in self.at:
            self.memory.append(resident())
            self.files.append(len(os.listdir("/proc/self/fd")))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("name", sorted(name for name in ALGORITHMS if "behaviour" not in name))
def test_memory_and_open_files_stay(name: str) -> None:
    trainer = make_trainer(name, STEPS, lr=1e-4)
    watch = Watch(trainer, STEPS)
    trainer.register_op("post_steps_log", watch)
    trainer.train()
    growth = watch.memory[-1] - watch.memory[0]
    print(f"soak {name}: {STEPS} steps, {growth / 2**20:+.1f} MiB, files {watch.files}")  # noqa: T201
    assert growth < MOST_GROWTH and watch.files[0] == watch.files[-1]


@pytest.mark.parametrize("name", sorted(name for name in ALGORITHMS if "behaviour" not in name))
def test_two_runs_are_equal_bit_for_bit(name: str) -> None:
    def trained() -> OfflineTrainer:
        # Both from the seed: they draw from the same generator.
        trainer = make_trainer(name, 30, lr=1e-3)
        trainer.train()
        return trainer

    assert identical(trained(), trained())
