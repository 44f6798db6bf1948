"""Golden numbers: what every loss gave when they were recorded, so that it can be rewritten safely.

::

    python -m tests.objectives.golden --compare             # largest difference of every case
    python -m tests.objectives.golden --compare --only omiga
    python -m tests.objectives.golden --record --only icq   # write these algorithms' files anew
    python -m tests.objectives.golden --record              # write all files anew

One file an algorithm, ``golden_numbers/<algorithm>.safetensors``; of every case of it

- ``loss_*``: the loss of the first and of the tenth step, ``[2]``;
- a network's name: mean and standard deviation of its first gradient, and two checksums of its parameters
  after one and after ten steps (see :func:`checksums`), ``[6]``; of its target network the latter, ``[4]``;
- ``action``: what the policy does with the first batch after ten steps.

Parameters, data and random draws follow from names and shapes, never from an order.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tensordict import TensorDictParams
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import set_recurrent_mode
from torchrl.objectives import LossModule
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl import keys
from omiga_torchrl.algorithms import Algorithm, make_algorithm
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.sequences import prev_actions
from tests.objectives.golden_cases import CASES, SPECS, Case, generator, make_batch
from tests.objectives.golden_draws import without_order

FOLDER = Path(__file__).with_name("golden_numbers")
STEPS = 10
# In float64 the numbers of other processors and other kernels differ by 1e-12; a changed formula by more.
RTOL = 1e-8
Record = dict[str, Tensor]
Parts = dict[str, dict[str, Tensor]]


@contextmanager
def in_float64() -> Iterator[None]:
    """Networks and coefficients that are made inside are in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# Parameters ---------------------------------------------------------------------------


def parts_of(loss: LossModule) -> Parts:
    """The learned tensors of every network, of its target network, and of the loss itself, by their paths."""
    children = {name: part for name, part in loss.named_children() if isinstance(part, TensorDictParams)}
    found: Parts = {}
    for name, online in children.items():
        learned = [key for key, leaf in online.items(True, True) if isinstance(leaf, nn.Parameter)]
        if name.startswith("target_") or not learned:
            continue
        for role in (name, f"target_{name}"):
            if role in children:
                leaves = dict(children[role].items(True, True))
                found[role.removesuffix("_params")] = {"/".join(key): leaves[key] for key in learned}
    own = {name: {"": leaf} for name, leaf in loss._parameters.items() if leaf is not None}
    return found | own


@torch.no_grad()
def fill(parts: Parts) -> None:
    """Overwrites all parameters with numbers that follow from their names."""
    for network, leaves in parts.items():
        for path, leaf in leaves.items():
            leaf.copy_(0.4 * torch.randn(leaf.shape, generator=generator(f"{network}/{path}")))


def checksums(network: str, leaves: dict[str, Tensor]) -> list[float]:
    """Norm of a network's parameters, and their product with a fixed vector, which sees their places."""
    total = torch.zeros(2)
    for path, leaf in leaves.items():
        fixed = torch.randn(leaf.shape, generator=generator(f"{network}/{path}/fixed"))
        total += torch.stack([leaf.detach().square().sum(), (leaf.detach() * fixed).sum()])
    return [math.sqrt(total[0].item()), total[1].item()]


# One case -----------------------------------------------------------------------------


def make_loss(case: Case) -> tuple[Algorithm, ForeachSoftUpdate | None]:
    """The algorithm, with parameters that follow from their names, and the updater of its targets."""
    made = make_algorithm(case.algorithm, SPECS[case.kind], **case.arguments)
    if "lambda" in case.given:
        made.loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.9, lmbda=case.given["lambda"])
    updater = None if made.target_updater is None else ForeachSoftUpdate(made.loss, tau=0.1)
    fill(parts_of(made.loss))
    return made, updater


def _gradient(leaves: dict[str, Tensor]) -> list[float]:
    found = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves.values()]
    flat = torch.cat([gradient.flatten() for gradient in found])
    return [flat.mean().item(), flat.std(correction=0).item()]


@in_float64()
def measure(case: Case) -> Record:
    """Ten updates by Adam on two batches in turn: the numbers that the top of this file names."""
    made, updater = make_loss(case)
    parts = parts_of(made.loss)
    learned = {name: leaves for name, leaves in parts.items() if not name.startswith("target_")}
    optimizer = torch.optim.Adam([leaf for leaves in learned.values() for leaf in leaves.values()], lr=1e-3)
    batches = [make_batch(case, index) for index in range(2)]
    numbers: dict[str, list[float]] = {}
    for step in range(STEPS):
        with without_order():
            out = made.loss(batches[step % 2])
        terms = {key: value.sum() for key, value in out.items() if key.startswith("loss_")}
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        if step == 0:
            numbers = {name: _gradient(leaves) for name, leaves in learned.items()}
        optimizer.step()
        made.loss.advance(out)
        if updater is not None:
            updater.step()
        if step in (0, STEPS - 1):
            for key, value in terms.items():
                numbers.setdefault(key, []).append(value.item())
            for name, leaves in parts.items():
                numbers.setdefault(name, []).extend(checksums(name, leaves))
    record = {name: torch.tensor(values) for name, values in numbers.items()}
    return record | {"action": _act(made, case)}


@torch.no_grad()
def _act(made: Algorithm, case: Case) -> Tensor:
    batch = make_batch(case, 0).exclude("next")
    if case.memory:
        batch[keys.LAST_ACTION] = prev_actions(batch[keys.ACTION], time=1)
    with without_order(), set_exploration_type(ExplorationType.DETERMINISTIC), set_recurrent_mode(True):
        return made.policy(batch.exclude(keys.ACTION))[keys.ACTION].double()


# The records --------------------------------------------------------------------------


def differences(expected: Record, found: Record) -> dict[str, float]:
    """Largest relative difference of every entry, infinite where one is missing or of another shape."""
    out = dict.fromkeys(expected.keys() | found.keys(), math.inf)
    for name in expected.keys() & found.keys():
        before, now = expected[name], found[name]
        if before.shape == now.shape:
            by = (now - before).abs() / before.abs().clamp(min=1e-3)
            out[name] = by.max().nan_to_num(math.inf).item()
    return out


def read(algorithm: str) -> dict[str, Record]:
    """The recorded numbers of an algorithm, by case."""
    records: dict[str, Record] = {}
    for key, value in load_file(FOLDER / f"{algorithm}.safetensors").items():
        case, _, name = key.partition(": ")
        records.setdefault(case, {})[name] = value
    return records


def record(algorithm: str) -> None:
    """Measure all cases of an algorithm, and write its file."""
    FOLDER.mkdir(exist_ok=True)
    found = {case: measure(CASES[algorithm][case]) for case in CASES[algorithm]}
    flat = {f"{case}: {name}": value for case, numbers in found.items() for name, value in numbers.items()}
    save_file(flat, FOLDER / f"{algorithm}.safetensors", metadata={"steps": str(STEPS), "rtol": str(RTOL)})


def compare(algorithm: str) -> int:
    """Print the largest difference of every case, and give the number of those that differ."""
    failed = 0
    for case, expected in read(algorithm).items():
        found = differences(expected, measure(CASES[algorithm][case]))
        where = max(found, key=lambda name: found[name])
        failed += found[where] > RTOL
        word = "FAIL" if found[where] > RTOL else "ok"
        sys.stdout.write(f"{word:4} {found[where]:8.1e}  {algorithm}/{case}  ({where})\n")
    return failed


def main() -> int:
    """Records or compares, as the command line says."""
    parser = argparse.ArgumentParser(description="Golden numbers of the losses.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--record", action="store_true", help="write golden_numbers/*.safetensors")
    mode.add_argument("--compare", action="store_true", help="print the largest difference of every case")
    parser.add_argument("--only", default="", help="algorithms whose name contains this")
    asked = parser.parse_args()
    names = [name for name in CASES if asked.only in name]
    if asked.compare:
        failed = sum(map(compare, names))
        sys.stdout.write(f"{failed} cases differ by more than {RTOL:g}\n")
        return int(failed > 0)
    for name in names:
        record(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
