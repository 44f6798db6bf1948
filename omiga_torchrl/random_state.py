"""The random state of a process: read it, set it, and lend it without a trace."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def get_random_state() -> dict[str, Any]:
    """The states of the global generators of torch (with CUDA if in use), numpy, Python and VMAS.

    Holds tensors and plain values only, so that ``torch.load(weights_only=True)`` reads it back.

    Examples:
        >>> state = get_random_state()
        >>> first = torch.rand(2)
        >>> set_random_state(state)
        >>> bool((torch.rand(2) == first).all())
        True
    """
    state: dict[str, Any] = {
        "torch": torch.random.get_rng_state(),
        "numpy": _plain(np.random.get_state(legacy=True)),
        "python": random.getstate(),
    }
    stream = _vmas_stream()
    if stream:
        state["vmas"] = (stream[0], _plain(stream[1]), stream[2])
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
    np.random.set_state(_numpy(state["numpy"]))
    random.setstate(_python(state["python"]))
    stream = _vmas_stream()
    if stream and "vmas" in state:
        kept = state["vmas"]
        # All environments share the list object itself, so it is refilled in place.
        stream[:] = [kept[0].cpu(), _numpy(kept[1]), _python(kept[2])]
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def renew_random_state(number: int, generator: torch.Generator | None = None) -> None:
    """Moves the generators of torch, numpy and Python to other places, which the present ones decide.

    Args:
        number: other numbers give other places.
        generator: a further generator of torch.

    Examples:
        >>> state = get_random_state()
        >>> renew_random_state(1)
        >>> first = torch.rand(2)
        >>> set_random_state(state)
        >>> bool((torch.rand(2) == first).any())
        False
    """
    base = int(torch.randint(2**62, ())) + number
    torch.manual_seed(base)
    np.random.seed(base % 2**32)
    random.seed(base)
    if generator is not None:
        generator.manual_seed(base)


@contextmanager
def isolated_random(seed: int) -> Iterator[None]:
    """Runs the block on its own random streams and restores all states, also after an error.

    VMAS keeps one stream for all its environments of a process: without this, an
    evaluation between two training rollouts changes what the second one starts from.

    Args:
        seed: seed of torch's, numpy's and Python's streams inside the block.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> expected = torch.rand(1)
        >>> _ = torch.manual_seed(0)
        >>> with isolated_random(seed=7):
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


def _vmas_stream() -> list[Any]:
    # Only where VMAS is loaded already: reading its state must not import it.
    vmas = sys.modules.get("vmas.simulator.environment")
    return vmas.Environment.vmas_random_state if vmas else []


def _plain(state: Any) -> tuple[Any, ...]:
    name, words, *rest = state
    return (str(name), torch.from_numpy(words.astype(np.int64)), *rest)


def _numpy(state: tuple[Any, ...]) -> tuple[Any, ...]:
    name, words, *rest = state
    return (name, words.cpu().numpy().astype(np.uint32), *rest)


def _python(state: tuple[Any, ...]) -> tuple[Any, ...]:
    version, internal, gauss_next = state
    return (version, tuple(internal), gauss_next)
