"""The recurrence of a gated recurrent unit, in plain tensor operations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omiga_torchrl.shapes import Bool, Float


def gru(
    inputs: Float[Tensor, "time *batch inputs"],
    memory: Float[Tensor, "*batch hidden"],
    input_weight: Float[Tensor, "gates inputs"],
    memory_weight: Float[Tensor, "gates hidden"],
    input_bias: Float[Tensor, "gates"],
    memory_bias: Float[Tensor, "gates"],
    *,
    starts: Bool[Tensor, "time *#batch 1"] | None = None,
) -> Float[Tensor, "time *batch hidden"]:
    """Memory after every step of a gated recurrent unit (Cho et al. 2014, arXiv:1406.1078).

    ``r = s(W_r x + U_r h)``, ``z = s(W_z x + U_z h)``, ``n = tanh(W_n x + b + r (U_n h + c))``,
    ``h' = (1 - z) n + z h``, as :class:`torch.nn.GRU` computes it, with its order of gates r, z, n.
    Unlike that class it compiles in one graph, passes under ``torch.func.vmap`` and empties the memory
    within a sequence, without waiting for the device. Under autocast the memory keeps its own dtype.

    Args:
        inputs: x of every step.
        memory: h before the first step.
        input_weight: W, the gates' rows one below the other: ``3 H`` in all.
        memory_weight: U, likewise.
        input_bias: biases of ``W x``.
        memory_bias: biases of ``U h``.
        starts: True where the memory is emptied before the step; None never empties it.

    Examples:
        >>> cell = torch.nn.GRU(4, 8)
        >>> gru(torch.zeros(5, 2, 4), torch.zeros(2, 8), *cell.all_weights[0]).shape
        torch.Size([5, 2, 8])
    """
    # One product for all steps, of two dimensions: with more, compiled code is slower on a CPU.
    projected = F.linear(inputs.flatten(0, -2), input_weight, input_bias).unflatten(0, inputs.shape[:-1])
    outputs = []
    for step, x in enumerate(projected.unbind(0)):
        if starts is not None:
            memory = torch.where(starts[step], 0.0, memory)
        reset_x, update_x, new_x = x.chunk(3, -1)
        reset_h, update_h, new_h = F.linear(memory, memory_weight, memory_bias).chunk(3, -1)
        new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
        memory = new + (update_x + update_h).sigmoid() * (memory - new)
        outputs.append(memory)
    return torch.stack(outputs)
