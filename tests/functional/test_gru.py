from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from omiga_torchrl.functional import gru


def test_two_steps_by_hand():
    one = torch.ones(1)
    # Gates r, z, n of one feature: W = (1, 2, 3), U = (4, 5, 6), biases (.1, .2, .3) and (.4, .5, .6).
    found = gru(
        torch.tensor([[0.5], [-1.0]]),
        0.2 * one,
        torch.tensor([[1.0], [2.0], [3.0]]),
        torch.tensor([[4.0], [5.0], [6.0]]),
        torch.tensor([0.1, 0.2, 0.3]),
        torch.tensor([0.4, 0.5, 0.6]),
    )
    memory, expected = 0.2, []
    for x in (0.5, -1.0):
        reset = 1 / (1 + math.exp(-(x + 0.1 + 4 * memory + 0.4)))
        update = 1 / (1 + math.exp(-(2 * x + 0.2 + 5 * memory + 0.5)))
        new = math.tanh(3 * x + 0.3 + reset * (6 * memory + 0.6))
        memory = (1 - update) * new + update * memory
        expected.append(memory)
    assert found.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def case(steps=7, batch=(5,)):
    torch.manual_seed(0)
    cell = nn.GRU(4, 6).double()
    inputs = torch.randn(steps, *batch, 4, dtype=torch.float64, requires_grad=True)
    return cell, inputs, torch.randn(*batch, 6, dtype=torch.float64, requires_grad=True)


def test_is_torchs_own_with_all_gradients():
    cell, inputs, memory = case()
    wanted, _ = cell(inputs, memory.unsqueeze(0))
    found = gru(inputs, memory, *cell.all_weights[0])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    leaves, direction = [inputs, memory, *cell.parameters()], torch.randn_like(wanted)
    for mine, theirs in zip(
        torch.autograd.grad(found, leaves, direction),
        torch.autograd.grad(wanted, leaves, direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_a_start_empties_the_memory_of_its_own_row_before_the_step():
    cell, inputs, memory = case()
    starts = torch.zeros(7, 5, 1, dtype=torch.bool)
    starts[3, 1] = True
    found = gru(inputs, memory, *cell.all_weights[0], starts=starts)
    plain = gru(inputs, memory, *cell.all_weights[0])
    anew = gru(inputs[3:], torch.zeros_like(memory), *cell.all_weights[0])
    others = [0, 2, 3, 4]
    assert found[:, others].equal(plain[:, others]) and found[:3].equal(plain[:3])
    torch.testing.assert_close(found[3:, 1], anew[:, 1], rtol=0, atol=1e-12)
    assert not found[3, 1].allclose(plain[3, 1])


def test_batch_dimensions_are_free_and_none_is_one_of_them():
    cell, inputs, memory = case(batch=(2, 3))
    found = gru(inputs, memory, *cell.all_weights[0])
    flat = gru(inputs.flatten(1, 2), memory.flatten(0, 1), *cell.all_weights[0])
    torch.testing.assert_close(found.flatten(1, 2), flat, rtol=0, atol=1e-12)
    alone = gru(inputs[:, 0, 0], memory[0, 0], *cell.all_weights[0])
    torch.testing.assert_close(alone, found[:, 0, 0], rtol=0, atol=1e-12)


def test_a_memory_of_full_precision_stays_so_under_autocast():
    cell, inputs, memory = nn.GRU(4, 6), torch.randn(3, 5, 4), torch.zeros(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = gru(inputs.bfloat16(), memory, *cell.all_weights[0])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, cell(inputs)[0], atol=0.02, rtol=0)
