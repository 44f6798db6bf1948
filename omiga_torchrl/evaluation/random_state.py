"""The random state of a process: read it, set it, and lend it without a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def get_random_state() -> dict[str, Any]:
    """The states of the global generators of torch (with CUDA if in use), numpy and Python.

    Holds tensors and plain values only, so that ``torch.load(weights_only=True)`` reads it back.

    Examples:
        >>> state = get_random_state()
        >>> first = torch.rand(2)
        >>> set_random_state(state)
        >>> bool((torch.rand(2) == first).all())
        True
    """
    name, words, position, has_gauss, gauss = np.random.get_state(legacy=True)
    state = {
        "torch": torch.random.get_rng_state(),
        "numpy": (str(name), torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss),
        "python": random.getstate(),
    }
    # Asking an unused CUDA for its state would initialise it.
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_random_state(state: Mapping[str, Any]) -> None:
    """Restores what :func:`get_random_state` returned.

    Args:
        state: the value of :func:`get_random_state`.
    """
    torch.random.set_rng_state(state["torch"].cpu())
    name, words, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, words.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


@contextmanager
def separate_random_stream(seed: int) -> Iterator[None]:
    """Runs the block on its own random stream and restores all states, also after an error.

    Args:
        seed: seed of the stream inside the block.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> expected = torch.rand(1)
        >>> _ = torch.manual_seed(0)
        >>> with separate_random_stream(seed=7):
        ...     _ = torch.rand(100)
        >>> bool(torch.rand(1) == expected)
        True
    """
    state = get_random_state()
    try:
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield
    finally:
        set_random_state(state)
