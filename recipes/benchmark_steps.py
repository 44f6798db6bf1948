"""Cost of a gradient step: eager, compiled, and of several seeds at once, against its own matrix products.

Run: ``python recipes/benchmark_steps.py [algorithms] [sizes] [seeds] [device]`` (or ``make bench``), e.g.
``omiga,iql 3/18/2/128/64 5``: agents/observation/action/batch/hidden. Prints processor milliseconds, on a GPU
elapsed ones, timed in turn in one process, as medians; ratios hold on a shared machine, too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import torch
from tensordict import TensorDictBase
from torch import Tensor, fx
from torchrl.data import ReplayBuffer

from omiga_torchrl.algorithms import ALGORITHMS, make_algorithm
from omiga_torchrl.data import IndexSelectStorage
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.timing import interleaved
from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.compiled.captured import WARM_UP
from omiga_torchrl.trainers.compiled.stacked import StackedRuns
from omiga_torchrl.trainers.compiled.stepper import CompiledStepper
from omiga_torchrl.trainers.together import pure_step_of

ALGORITHM_NAMES = "bc,omiga,icq,iql,cql,omar"
SIZES = "3/18/2/128/64,3/18/2/256/128,6/23/1/128/256"
SLICE = 8
_PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default)


def make_trainer(
    name: str, size: Sequence[int], compile: str, seed: int = 0, device: str = "cpu"
) -> OfflineTrainer:
    """A trainer on random data."""
    agents, observation, action, batch, hidden = size
    torch.manual_seed(seed)
    spec = TeamSpec(agents, observation, action, agents * observation)
    parts = make_algorithm(name, spec, hidden_sizes=[hidden, hidden])
    parts.loss.to(device)
    steps = SLICE if ALGORITHMS[name].sequences else 1
    data = spec.fake_batch(8192 // steps, steps) if steps > 1 else spec.fake_batch(8192)
    buffer = ReplayBuffer(storage=IndexSelectStorage(data), batch_size=batch // steps)
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=10**9,
        progress_bar=False,
        compile=cast(Any, compile),
        seed=seed,
    )


def matrix_products(graph: fx.Graph) -> Callable[[], None]:
    """Does the matrix products of a graph, on random numbers, and nothing else."""
    calls: list[tuple[Any, list[Tensor]]] = []
    for node in graph.nodes:
        if node.target in _PRODUCTS:
            values = [argument.meta["val"] for argument in cast(Any, node.args)]
            # With the graph's strides: views of wider tensors are read as such.
            like = [torch.empty_strided(v.shape, v.stride(), device=v.device).normal_() for v in values]
            calls.append((node.target, like))

    def run() -> None:
        for operation, arguments in calls:
            operation(*arguments)

    return run


def several_seeds(trainers: Sequence[OfflineTrainer]) -> Callable[[], None]:
    """A step of several seeds as one graph, sampling and hooks included."""
    steps = [pure_step_of(trainer) for trainer in trainers]
    runs = StackedRuns(steps, ["same"] * len(steps))
    runs.compile([trainer._sample() for trainer in trainers])

    def run() -> None:
        started = [trainer.gradient_step() for trainer in trainers]
        batches: list[TensorDictBase] = [next(step) for step in started]
        noise = [runs.draw(k) for k in range(len(trainers))]
        outputs = runs.step(batches, [trainer._optim_count for trainer in trainers], noise)
        for step, output in zip(started, outputs, strict=True):
            with suppress(StopIteration):
                step.send(output)

    return run


def ways(
    name: str, size: Sequence[int], seeds: int, device: str = "cpu"
) -> tuple[dict[str, Callable[[], object]], float]:
    """Every way to do a step of an algorithm, each done some times, and the seconds to compile the step."""
    eager, loss, whole = (make_trainer(name, size, mode, device=device) for mode in ("none", "loss", "step"))
    stepper = cast(CompiledStepper, whole.optimization_stepper)
    began = time.perf_counter()
    whole.train_step()
    compiled_in = time.perf_counter() - began
    [graph] = stepper.graphs
    functions: dict[str, Callable[[], object]] = {
        "products": matrix_products(graph.module.graph),
        "eager": eager.train_step,
        "loss": loss.train_step,
        "step": whole.train_step,
        "sample": whole._sample,
    }
    if seeds:
        functions[f"{seeds} seeds"] = several_seeds(
            [make_trainer(name, size, "none", k, device) for k in range(seeds)]
        )
    for function in functions.values():
        for _ in range(WARM_UP + 1):
            function()
    return functions, compiled_in


def timed(
    functions: Mapping[str, Callable[[], object]], *, block_ms: float = 300, device: str = "cpu"
) -> dict[str, float]:
    """Milliseconds of each function, timed in turn in blocks of about ``block_ms`` for all.

    On the CPU they are those of the processor, on a GPU elapsed ones, until it has done everything.
    """
    clock = time.process_time if device == "cpu" else _gpu_clock
    once = interleaved(functions, steps=1, blocks=3, clock=clock)
    steps = max(2, int(block_ms / sum(once.values())))
    return interleaved(functions, steps=steps, blocks=7, clock=clock)


def _gpu_clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(name: str, size: Sequence[int], seeds: int, device: str) -> dict[str, float]:
    """Milliseconds of every way to do a step of an algorithm, and seconds to compile it."""
    functions, compiled_in = ways(name, size, seeds, device)
    return {**timed(functions, device=device), "compiled in s": compiled_in}


def main(
    algorithms: str = ALGORITHM_NAMES, sizes: str = SIZES, seeds: str = "5", device: str = "cpu"
) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    for size in sizes.split(","):
        for name in algorithms.split(","):
            row = measure(name, [int(number) for number in size.split("/")], int(seeds), device)
            cells = "  ".join(f"{label} {value:.2f}" for label, value in row.items())
            gain, rest = row["eager"] / row["step"], row["step"] / row["products"]
            ratios = f"eager/step {gain:.1f}, step/products {rest:.2f}"
            print(f"{name:8s} {size:16s} {cells}  ({ratios})", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
