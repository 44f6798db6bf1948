"""Costs of the library against plain code, measured side by side in one process.

Run: ``python recipes/benchmark.py`` (or ``make bench``). Prints one line per measurement.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
from torchrl.data import LazyTensorStorage, ReplayBuffer

from omiga_torchrl.algorithms import Algorithm, make_omiga
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer, make_optimizer

# VMAS navigation's sizes: about 4 ms a step on one core.
NAVIGATION = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)


@dataclass(frozen=True)
class Comparison:
    """Seconds per step of two ways to do the same.

    Attributes:
        name: what was compared.
        ours: seconds per step, library.
        plain: seconds per step, plain code.
        ratio: median over the blocks of ours / plain.
    """

    name: str
    ours: float
    plain: float
    ratio: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.ours * 1e3:.3f} ms, plain {self.plain * 1e3:.3f} ms, ratio {self.ratio:.3f}"
        )


def compare(
    name: str, ours: Callable[[], object], plain: Callable[[], object], *, steps: int, blocks: int
) -> Comparison:
    """Times two blocks of ``steps`` steps alternately, so that both meet the same machine.

    Args:
        name: for the result.
        ours: runs ``steps`` steps.
        plain: runs ``steps`` steps.
        steps: steps per block.
        blocks: pairs of blocks; one more pair warms up.
    """
    times: list[tuple[float, float]] = []
    for block in range(blocks + 1):
        pair = {}
        # The order alternates too: whoever runs second may find a faster clock.
        for run in (ours, plain) if block % 2 else (plain, ours):
            start = time.perf_counter()
            run()
            pair[run] = (time.perf_counter() - start) / steps
        times.append((pair[ours], pair[plain]))
    times = times[1:]
    return Comparison(
        name,
        min(mine for mine, _ in times),
        min(theirs for _, theirs in times),
        median(mine / theirs for mine, theirs in times),
    )


def trainer_overhead(
    *, steps: int = 100, blocks: int = 15, hidden: tuple[int, ...] = (64, 64), batch_size: int = 128
) -> Comparison:
    """`OfflineTrainer` against a plain loop: same loss, sampling, clipping, Adam, target update.

    Args:
        steps: gradient steps per block.
        blocks: timed pairs of blocks.
        hidden: hidden layers; (64, 64) gives about 4 ms a step on one core.
        batch_size: transitions per step.
    """
    ours, plain = make_omiga(NAVIGATION, hidden=hidden), make_omiga(NAVIGATION, hidden=hidden)
    trainer = _trainer(ours, _buffer(batch_size))
    step = _plain_step(plain, _buffer(batch_size))

    def run_trainer() -> None:
        trainer.total_frames += steps
        trainer.train()

    def run_plain() -> None:
        for _ in range(steps):
            step()

    return compare("trainer step", run_trainer, run_plain, steps=steps, blocks=blocks)


def _buffer(batch_size: int) -> ReplayBuffer:
    buffer = ReplayBuffer(storage=LazyTensorStorage(10_000), batch_size=batch_size)
    buffer.extend(NAVIGATION.fake_batch(10_000))
    return buffer


def _trainer(algorithm: Algorithm, buffer: ReplayBuffer) -> OfflineTrainer:
    trainer = OfflineTrainer(
        loss_module=algorithm.loss,
        replay_buffer=buffer,
        parameter_groups=algorithm.parameter_groups,
        target_updater=algorithm.target_updater,
        total_steps=1,
        progress_bar=False,
    )
    trainer.total_frames = 0
    return trainer


def _plain_step(algorithm: Algorithm, buffer: ReplayBuffer) -> Callable[[], None]:
    optimizer = make_optimizer(algorithm.parameter_groups, 5e-4)
    updater = algorithm.target_updater
    assert updater is not None

    def step() -> None:
        losses = algorithm.loss(buffer.sample())
        (losses["loss_actor"] + losses["loss_qvalue"] + losses["loss_value"]).backward()
        for group in algorithm.parameter_groups.values():
            nn.utils.clip_grad_norm_(group, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        updater.step()

    return step


def main() -> None:
    """Prints all measurements."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.stdout.write(f"{trainer_overhead()}\n")


if __name__ == "__main__":
    main()
