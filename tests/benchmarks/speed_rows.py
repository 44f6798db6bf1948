"""The rows of the speed table: ways to do a step, timed in turn."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from omiga_torchrl.timing import interleaved
from recipes.benchmark_steps import make_trainer, several_seeds, timed, ways
from tests.benchmarks.plain_omiga import one_backward, released_procedure

Row = dict[str, Any]
Step = Callable[[], object]
# Steps of one call of JAX's compiled scan.
SCANNED = 20


def size_row(name: str, size: str, *, seeds: int = 0) -> Row:
    """Every way to do a step of an algorithm.

    Args:
        name: the algorithm.
        size: ``agents/observation/action/batch/hidden``.
        seeds: also this many seeds at once; 0 leaves them out.
    """
    numbers = _numbers(size)
    functions, compiled_in = ways(name, numbers, seeds)
    scanned: dict[str, Step] = {}
    if name == "omiga":
        trainer = make_trainer(name, numbers, "none")
        for label, make in (("released", released_procedure), ("plain", one_backward)):
            functions[label] = make(_parts(make_trainer(name, numbers, "none")), trainer._sample)
        if importlib.util.find_spec("jax"):
            scanned["JAX scan"] = _jax_scan(numbers)
    for function in (*functions.values(), *scanned.values()):
        function()
    # A call of the scan is many steps, and would stand for as much of the time as that.
    found = timed({**functions, **scanned}, block_ms=300 + 600 * len(scanned))
    return {
        **{label: value / (SCANNED if label in scanned else 1) for label, value in found.items()},
        "compiled in s": compiled_in,
    }


def seeds_row(name: str, size: str, count: int) -> Row:
    """One step of several seeds as one graph, beside one step of one of them."""
    numbers = _numbers(size)
    functions = {
        "seeds": several_seeds([make_trainer(name, numbers, "none", k) for k in range(count)]),
        "step": make_trainer(name, numbers, "step").train_step,
    }
    for function in functions.values():
        function()
    return timed(functions)


def threads_row(name: str, size: str) -> Row:
    """Elapsed, not processor, milliseconds of a compiled step with one thread and with two."""
    numbers = _numbers(size)

    def with_threads(count: int) -> Step:
        torch.set_num_threads(count)
        step = make_trainer(name, numbers, "step").train_step
        step()  # compiled code holds the number of threads

        def run() -> None:
            torch.set_num_threads(count)
            step()

        return run

    functions = {f"{count} threads": with_threads(count) for count in (1, 2)}
    found = interleaved(functions, steps=30, blocks=9, clock=time.perf_counter)
    torch.set_num_threads(1)
    return found


def d3rlpy_row(name: str) -> Row:
    """A single agent's step through our trainer, and through d3rlpy where it is installed."""
    size = [1, 17, 6, 256, 256]
    functions: dict[str, Step] = {
        "eager": make_trainer(name, size, "none").train_step,
        "step": make_trainer(name, size, "step").train_step,
    }
    if importlib.util.find_spec("d3rlpy"):
        functions["d3rlpy"] = _d3rlpy_step(name, size)
    for function in functions.values():
        function()
    return timed(functions, block_ms=1000)


def start_row(size: str) -> Row:
    """Seconds to import, and to compile the first and the second time, and MiB, in processes of their own."""
    code = (
        "import time; began = time.perf_counter(); import resource, torch, omiga_torchrl.algorithms; "
        "imported = time.perf_counter() - began; torch.set_num_threads(1); "
        "from recipes.benchmark_steps import make_trainer; began = time.perf_counter(); "
        f"trainer = make_trainer('omiga', {_numbers(size)}, 'step'); trainer.train_step(); "
        "compiled = time.perf_counter() - began; [trainer.train_step() for _ in range(100)]; "
        "print(imported, compiled, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        first, second = ([float(number) for number in _run(code, environment).split()[-3:]] for _ in range(2))
    return {"import s": second[0], "first s": first[1], "second s": second[1], "peak MiB": second[2]}


def _run(code: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout


def _numbers(size: str) -> list[int]:
    return [int(number) for number in size.split("/")]


def _parts(trainer: Any) -> SimpleNamespace:
    """What the plain programs need of an algorithm: loss, policy and parameter groups."""
    loss = trainer.loss_module
    groups = trainer.optimization_stepper.parameter_groups
    return SimpleNamespace(loss=loss, policy=loss.actor_network, parameter_groups=groups)


def _jax_scan(numbers: list[int]) -> Step:
    import jax

    from tests.benchmarks.jax_omiga import data_of, on_data, state_of

    trainer = make_trainer("omiga", numbers, "none")
    data = data_of(trainer.replay_buffer[:])
    state, key = state_of(trainer.loss_module), jax.random.PRNGKey(0)

    def run() -> None:
        nonlocal state, key
        key, now = jax.random.split(key)
        state, losses = on_data(state, now, data, steps=SCANNED, batch_size=numbers[3])
        jax.block_until_ready((state, losses))

    return run


def _d3rlpy_step(name: str, size: list[int]) -> Step:
    import d3rlpy

    _, observation, action, batch, hidden = size
    rng = np.random.default_rng(0)
    rows = 8192
    ends = np.zeros(rows, np.float32)
    ends[511::512] = 1
    data = d3rlpy.dataset.MDPDataset(
        rng.standard_normal((rows, observation), np.float32),
        rng.uniform(-0.9, 0.9, (rows, action)).astype(np.float32),
        rng.standard_normal((rows, 1), np.float32),
        ends,
    )
    encoder = d3rlpy.models.VectorEncoderFactory([hidden, hidden])
    configs = {
        "iql": d3rlpy.algos.IQLConfig,
        "td3_bc": d3rlpy.algos.TD3PlusBCConfig,
        "cql": d3rlpy.algos.CQLConfig,
    }
    encoders = {f"{part}_encoder_factory": encoder for part in ("actor", "critic")}
    if name == "iql":
        encoders["value_encoder_factory"] = encoder
    algorithm = configs[name](batch_size=batch, **encoders).create(device=False)
    algorithm.build_with_dataset(data)
    return lambda: algorithm.update(data.sample_transition_batch(batch))
