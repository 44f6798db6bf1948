from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from omiga_torchrl.random_state import get_random_state, isolated_random, set_random_state


def draw():
    return torch.rand(1).item(), np.random.rand(), random.random()


def test_block_leaves_no_trace_also_after_an_error():
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    with pytest.raises(KeyError), isolated_random(3):
        draw()
        raise KeyError
    assert draw() == expected


def test_state_survives_weights_only_loading(tmp_path):
    import vmas.simulator.environment  # noqa: F401  its stream is part of the state

    state = get_random_state()
    torch.save(state, tmp_path / "state.pt")
    expected = draw()
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == expected
