"""OMIGA's compiled step through the trainer beside the same step in a jitted JAX scan.

Run: ``python -m tests.benchmarks.compare_jax [sizes]`` from the repository's root, sizes as those of
``recipes/benchmark_steps.py``. Prints processor milliseconds a step, medians of blocks timed in turn.
"""

from __future__ import annotations

import os
import sys

# One thread, as for PyTorch; JAX reads it when it is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import torch

from omiga_torchrl.timing import interleaved
from recipes.benchmark_steps import SIZES, make_trainer
from tests.benchmarks.jax_omiga import data_of, on_data, state_of

STEPS = 100


def measure(size: list[int], blocks: int = 9) -> dict[str, float]:
    """Milliseconds of a step of both, for ``[agents, observation, action, batch, hidden]``."""
    trainer = make_trainer("omiga", size, "step")
    state, key = state_of(trainer.loss_module), jax.random.PRNGKey(0)
    data = data_of(trainer.replay_buffer[:])

    def scan() -> None:
        nonlocal state, key
        key, now = jax.random.split(key)
        state, losses = on_data(state, now, data, steps=STEPS, batch_size=size[3])
        jax.block_until_ready((state, losses))

    def steps() -> None:
        for _ in range(STEPS):
            trainer._train_step()

    for function in (scan, steps):
        function()
    found = interleaved({"JAX scan": scan, "compiled step": steps}, steps=1, blocks=blocks)
    return {name: value / STEPS for name, value in found.items()}


def main(sizes: str = SIZES) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    for size in sizes.split(","):
        row = measure([int(number) for number in size.split("/")])
        cells = "  ".join(f"{name} {value:.2f}" for name, value in row.items())
        ratio = row["compiled step"] / row["JAX scan"]
        sys.stdout.write(f"omiga {size:16s} {cells}  (ratio {ratio:.2f})\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
