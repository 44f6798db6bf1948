"""Cost of a training step of every algorithm, relative to behaviour cloning's in the same run.

Run: ``python recipes/benchmark_algorithms.py`` (or ``make bench``). Prints one line per algorithm: a
whole step of ``OfflineTrainer`` (sample, losses, backward, clipping, Adam, targets), the same networks
and batch sizes for all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import torch
from torchrl.data import LazyTensorStorage, ReplayBuffer

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.timing import Comparison, compare
from omiga_torchrl.trainers import OfflineTrainer

# The sizes of VMAS navigation and of SMAX 3m.
NAVIGATION = TeamSpec(n_agents=3, observation_size=18, action_size=2, state_size=54)
THREE_MARINES = TeamSpec(3, 75, 8, 72, discrete=True, masked=True)
SLICE = 8


def steps_of(name: str, spec: TeamSpec, batch_size: int) -> Callable[[int], None]:
    """Runs steps of the algorithm ``name``; algorithms along sequences get as many transitions."""
    parts = make_algorithm(name, spec, hidden_sizes=[128, 128])
    rows, steps = 8_192, SLICE if ALGORITHMS[name].sequences else 1
    data = spec.fake_batch(rows // steps, steps) if steps > 1 else spec.fake_batch(rows)
    buffer = ReplayBuffer(storage=LazyTensorStorage(len(data)), batch_size=batch_size // steps)
    buffer.extend(data)
    trainer = OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=1,
        progress_bar=False,
    )
    trainer.total_frames = 0

    def run(steps: int) -> None:
        trainer.total_frames += steps
        trainer.train()

    return run


def relative_cost(
    name: str, spec: TeamSpec, *, steps: int = 20, blocks: int = 5, batch_size: int = 256
) -> Comparison:
    """A step of ``name`` against one of behaviour cloning.

    Args:
        name: the algorithm.
        spec: sizes of the task.
        steps: gradient steps per block.
        blocks: timed pairs of blocks.
        batch_size: transitions per step.
    """
    ours, cloning = steps_of(name, spec, batch_size), steps_of("bc", spec, batch_size)
    kind = "discrete" if spec.discrete else "continuous"
    label = f"step of {name}, {spec.n_agents} agents, {kind}"
    found = compare(label, lambda: ours(steps), lambda: cloning(steps), steps=steps, blocks=blocks)
    return replace(found, against="bc")


def main() -> None:
    """Prints all measurements."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for spec in (NAVIGATION, THREE_MARINES):
        for name, known in sorted(ALGORITHMS.items()):
            if ("discrete" if spec.discrete else "continuous") in known.actions:
                sys.stdout.write(f"{relative_cost(name, spec)}\n")


if __name__ == "__main__":
    main()
