"""Inductor's code for a traced step, which updates the state in place; on a GPU as one CUDA graph."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._guards import TracingContext, tracing
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.virtualized import V

from omiga_torchrl.trainers.compiled.captured import CapturedRun, record_cuda

_LOG = logging.getLogger(__name__)

Run = Callable[[list[Tensor]], Sequence[Tensor]]


def compile_graph(module: fx.GraphModule, n_state: int) -> Run:
    """A graph as machine code, which inductor keeps in its cache on disk for later processes.

    Args:
        module: ATen operations; its first ``n_state`` outputs are the next values of its first inputs.
        n_state: tensors of the state.

    Returns:
        A function of a list of inputs: empties it, changes the state in place, returns the other outputs.
    """
    began = time.perf_counter()
    _write_state_back(module.graph, n_state)
    module.recompile()
    inputs = [node.meta["val"] for node in module.graph.nodes if node.op == "placeholder"]
    fake = inputs[0].fake_mode
    # Calls of the kernels in C++ take a tenth of a small step less than those in Python.
    devices = {value.device for value in inputs}
    cpp = all(device.type == "cpu" for device in devices)
    # Batches are compared with the traced ones before each step; sizes need no second check.
    options = {"size_asserts": False, "cpp_wrapper": cpp}
    with torch.no_grad(), tracing(TracingContext(fake)), V.set_fake_mode(fake), config.patch(options):
        compiled = compile_fx_inner(module, inputs, is_inference=True, cpp_wrapper=cpp)
    _LOG.info("compiled %d operations in %.1f s", len(module.graph.nodes), time.perf_counter() - began)
    if len(devices) == 1 and not cpp:
        return CapturedRun(compiled, n_state, record_cuda(devices.pop()))
    return compiled


def _write_state_back(graph: fx.Graph, n_state: int) -> None:
    places = [node for node in graph.nodes if node.op == "placeholder"][:n_state]
    [output] = [node for node in graph.nodes if node.op == "output"]
    values = list(output.args[0])
    with graph.inserting_before(output):
        # An output that the state keeps as well must not change with it.
        kept = {*places, *values[:n_state]}
        for i, value in enumerate(values[n_state:], n_state):
            if value in kept:
                values[i] = _call(graph, torch.ops.aten.clone.default, value)
        for place, value in zip(places, values[:n_state], strict=True):
            if value is not place:
                _call(graph, torch.ops.aten.copy_.default, place, value)
    output.args = (tuple(values[n_state:]),)
    output.meta.clear()


def _call(graph: fx.Graph, operation: Any, *args: fx.Node) -> fx.Node:
    node = graph.call_function(operation, args)
    node.meta = dict(args[-1].meta)
    return node
