"""`Protocol`: its numbers and their limits."""

from __future__ import annotations

import pytest

from omiga_torchrl.evaluation import Protocol


def test_defaults() -> None:
    protocol = Protocol()
    assert (protocol.interval, protocol.episodes, protocol.final_episodes, protocol.seed) == (
        1000,
        100,
        300,
        0,
    )


def test_the_final_episodes_are_others() -> None:
    assert Protocol().final_seed == 1_000_000 and Protocol(seed=7).final_seed == 1_000_007


@pytest.mark.parametrize("name", ["interval", "episodes", "final_episodes"])
def test_counts_are_at_least_one(name: str) -> None:
    assert getattr(Protocol(**{name: 1}), name) == 1
    for count in (0, -1):
        with pytest.raises(ValueError, match=f"Protocol: {name}={count}; expected at least 1"):
            Protocol(**{name: count})


def test_both_seeds_are_seeds() -> None:
    assert Protocol(seed=2**32 - 1_000_001).final_seed == 2**32 - 1
    with pytest.raises(ValueError, match="final_seed"):
        Protocol(seed=2**32 - 1_000_000)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match="Protocol: seed"):
            Protocol(seed=seed)
