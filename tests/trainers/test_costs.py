"""Bars of issue 2: memory and overhead of the trainer."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MEMORY = """
import gc, sys, torch
from tests.trainers.toy import toy_trainer
torch.set_num_threads(1)
def rss():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
trainer = toy_trainer({warm}, width=32)
trainer.train()
before = rss()
trainer.total_frames += {steps}
trainer.train()
sys.stdout.write(str(rss() - before))
"""


def memory_growth(steps: int, warm: int = 500) -> float:
    """MiB by which `steps` steps enlarge a fresh process."""
    code = MEMORY.format(steps=steps, warm=warm)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    # TorchRL logs to stdout as well; the number is the last line.
    return float(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.slow
def test_memory_does_not_grow() -> None:
    growth = memory_growth(20_000)
    assert growth < 20, f"{growth:.1f} MiB in 20,000 steps"


@pytest.mark.slow
def test_overhead_over_a_plain_loop() -> None:
    sys.path.insert(0, str(ROOT / "recipes"))
    try:
        from benchmark_updates import trainer_overhead
    finally:
        sys.path.pop(0)
    gc.collect()
    # A shared machine adds noise, never speed: the best of three counts.
    ratios = [trainer_overhead().ratio for _ in range(3)]
    assert min(ratios) <= 1.05, ratios
