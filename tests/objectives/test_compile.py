"""Two losses in one graph each; `make test-slow` holds every loss to it, by the contract."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, losses_of, sequences


@pytest.mark.parametrize(("name", "spec"), [("omiga", CONTINUOUS), ("icq", DISCRETE)])
def test_compiles_whole_with_memories(name, spec, compiles):
    loss = make_algorithm(name, spec, hidden_sizes=[8], rnn_hidden_size=6).loss
    data = sequences(spec, 4)
    expected = losses_of(loss(data))
    for key, value in losses_of(compiles(loss)(data)).items():
        torch.testing.assert_close(value, expected[key], msg=str(key))
