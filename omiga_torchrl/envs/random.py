"""Random streams: a block of code with its own, which leaves all others as they were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def isolated_random(seed: int) -> Iterator[None]:
    """Run a block on its own random streams and restore PyTorch's and VMAS's after it.

    VMAS keeps one stream for all its environments of a process: without this, an
    evaluation between two training rollouts changes what the second one starts from.
    Build the block's environments inside it, with their own ``seed``.

    Args:
        seed: where PyTorch's streams start inside the block.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> before = torch.random.get_rng_state()
        >>> with isolated_random(1):
        ...     _ = torch.randn(3)
        >>> torch.equal(before, torch.random.get_rng_state())
        True
    """
    vmas = sys.modules.get("vmas.simulator.environment")
    # The list object itself is shared by all environments, so it is refilled in place.
    stream = vmas.Environment.vmas_random_state if vmas else []
    kept = list(stream)
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            stream[:] = kept
