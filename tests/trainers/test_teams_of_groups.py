"""Training of teams whose agents differ: resumed bit for bit, compiled, and several runs at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchrl.data import LazyTensorStorage, ReplayBuffer

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.testing import sequences
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.together import RunGroup
from tests.trainers.toy import identical, snapshot

MIXED = TeamSpec.from_groups(
    {"tower": TeamSpec(1, 3, 4, 6, discrete=True, masked=True), "cars": TeamSpec(2, 4, 2, 6)}
)


def trainer(name: str, steps: int, seed: int = 0, **options: object) -> OfflineTrainer:
    torch.manual_seed(100)
    buffer = ReplayBuffer(storage=LazyTensorStorage(64), batch_size=16)
    buffer.extend(sequences(MIXED, 64) if ALGORITHMS[name].sequences else MIXED.fake_batch(64))
    torch.manual_seed(seed)
    parts = make_algorithm(name, MIXED, hidden_sizes=[8])
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=steps,
        progress_bar=False,
        seed=seed,
        **{"compile": "none", **options},
    )


@pytest.mark.parametrize("name", ["bc", "cql", "icq_behavior", "iql", "omiga"])
def test_resume_is_exact(tmp_path: Path, name: str) -> None:
    whole = trainer(name, 8)
    whole.train()
    trainer(name, 4, save_dir=tmp_path, save_interval=4).train()
    resumed = trainer(name, 8, seed=0)
    torch.rand(5)
    resumed.load_from_file(tmp_path / "step_00000004.pt")
    resumed.train()
    assert identical(whole, resumed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cql", "omiga"])
def test_compiled_steps_and_runs_at_once_are_those_of_one_run(name: str) -> None:
    alone = []
    for seed in (0, 1):  # trained at once: building the next one seeds the random numbers
        alone.append(trainer(name, 6, seed))
        alone[-1].train()
    compiled = trainer(name, 6, compile="step")
    compiled.train()
    group = RunGroup()
    for seed in (0, 1):
        group.add(trainer(name, 6, seed))
    group.train()
    for found, expected in zip([compiled, *group.trainers], [alone[0], *alone], strict=True):
        for a, b in zip(snapshot(found), snapshot(expected), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
