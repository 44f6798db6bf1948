"""Golden numbers: what every loss gave when they were recorded, so that it can be rewritten safely.

::

    python -m tests.objectives.golden --record             # write golden.json, all cases
    python -m tests.objectives.golden --record --only icq  # replace these, keep the others
    python -m tests.objectives.golden --compare            # largest relative difference of every case
    python -m tests.objectives.golden --compare --only omiga

Parameters, data and random draws follow from names and shapes, never from an order: after a renaming
only the tables below change.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictParams
from torch import Tensor, nn
from torchrl.objectives import LossModule
from torchrl.objectives.utils import ValueEstimators

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.renames import rename_arguments
from tests.objectives.golden_cases import CASES, SPECS, Case, generator, make_batch
from tests.objectives.golden_draws import without_order

# From the loss terms of today to those of the record.
TERMS = {
    "loss_behavior": "loss_behaviour",
    "loss_lagrange": "loss_normaliser",
    "loss_state_value": "loss_shared_value",
}
# From attributes of a loss, today's and later ones, to the networks of the record.
NETWORKS = {
    "behaviour_network": "behavior",
    "behavior_network": "behavior",
    "shared_value_network": "state_value",
    "state_value_network": "state_value",
    "normaliser": "lagrange",
    "lagrange_multiplier": "lagrange",
    "value_normaliser": "value_lagrange",
    "value_lagrange_multiplier": "value_lagrange",
}
# From parts of today's paths of parameters inside their networks, "a/b", to those of the record.
LEAVES: dict[str, str] = {}

# Coefficients that were recorded as the inverse of a number of few digits.
EXACT = {"omac": ("temperature",)}

RECORD = Path(__file__).with_name("golden.json")
RTOL, ATOL = 1e-10, 1e-12
Record = dict[str, Any]
Parts = dict[tuple[str, str], dict[str, Tensor]]

# Parameters ---------------------------------------------------------------------------


def _leaf_name(key: str | tuple[str, ...]) -> str:
    name = key if isinstance(key, str) else "/".join(key)
    for today, recorded in LEAVES.items():
        name = name.replace(today, recorded)
    return name


def parts_of(loss: LossModule) -> Parts:
    """The learned tensors of every network and their targets, by (network, "online" or "target") and path."""
    children = {name: part for name, part in loss.named_children() if isinstance(part, TensorDictParams)}
    found: Parts = {}
    for name, online in children.items():
        learned = [key for key, leaf in online.items(True, True) if isinstance(leaf, nn.Parameter)]
        if name.startswith("target_") or not learned:
            continue
        attribute = name.removesuffix("_params")
        network = NETWORKS.get(attribute, attribute.removesuffix("_network"))
        for role, params in (("online", online), ("target", children.get(f"target_{name}"))):
            if params is not None:
                leaves = dict(params.items(True, True))
                found[network, role] = {_leaf_name(key): leaves[key] for key in learned}
    for name, parameter in loss._parameters.items():
        if parameter is not None:
            found[NETWORKS.get(name, name), "online"] = {"": parameter}
    return found


@torch.no_grad()
def fill(parts: Parts) -> None:
    """Overwrites all parameters with numbers that follow from their names."""
    for (network, role), leaves in parts.items():
        for path, leaf in leaves.items():
            source = generator(f"{network}/{path}/{role}")
            leaf.copy_(0.4 * torch.randn(leaf.shape, generator=source, dtype=torch.float64))


def round_coefficients(loss: LossModule, exact: Collection[str] = ()) -> None:
    """Rounds coefficients to six digits: those that went through float32 become what was asked for."""
    for name, buffer in loss.named_buffers():
        if buffer.ndim == 0 and buffer.dtype.is_floating_point and name not in exact:
            buffer.fill_(float(f"{buffer.item():.6g}"))


# One case -----------------------------------------------------------------------------


def make_loss(case: Case) -> tuple[LossModule, ForeachSoftUpdate | None]:
    """The loss in float64, with parameters that follow from their names, and the updater of its targets."""
    given = {key: value for key, value in case.arguments.items() if key != "lambda"}
    arguments = rename_arguments(case.algorithm, {**case.sizes(), **given}, warn=False)
    made = make_algorithm(case.algorithm, SPECS[case.kind], **arguments)
    loss = made.loss.double()
    if "lambda" in case.arguments:
        loss.make_value_estimator(ValueEstimators.TDLambda, gamma=0.9, lmbda=case.arguments["lambda"])
    round_coefficients(loss, EXACT.get(case.algorithm, ()))
    updater = None if made.target_updater is None else ForeachSoftUpdate(loss, tau=0.1)
    fill(parts_of(loss))
    return loss, updater


def _gradient_norm(leaves: dict[str, Tensor]) -> float:
    found = [leaf.grad.square().sum().item() for leaf in leaves.values() if leaf.grad is not None]
    return math.sqrt(sum(found))


def _totals(leaves: dict[str, Tensor]) -> list[float]:
    return [sum(leaf.sum().item() for leaf in leaves.values())] + [
        sum(leaf.square().sum().item() for leaf in leaves.values())
    ]


def measure(case: Case) -> Record:
    """Losses and gradients of the first update, and losses and parameters of the tenth."""
    loss, updater = make_loss(case)
    parts = parts_of(loss)
    online = {network: leaves for (network, role), leaves in parts.items() if role == "online"}
    optimizer = torch.optim.Adam([leaf for leaves in online.values() for leaf in leaves.values()], lr=1e-3)
    batches = [make_batch(case, index) for index in range(2)]
    record: Record = {}
    for step in range(case.steps):
        with without_order():
            out = loss(batches[step % 2])
        terms = {key: value.sum() for key, value in out.items() if key.startswith("loss_")}
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        losses = {TERMS.get(key, key): value.item() for key, value in terms.items()}
        if step == 0:
            record["losses"] = losses
            record["gradients"] = {network: _gradient_norm(leaves) for network, leaves in online.items()}
        optimizer.step()
        loss.advance(out)
        if updater is not None:
            updater.step()
    if case.steps == 1:
        return {"losses": record["losses"]}
    totals = {f"{network}/{role}": _totals(leaves) for (network, role), leaves in parts.items()}
    return record | {"later losses": losses, "parameters": totals}


# The record ---------------------------------------------------------------------------


def _flat(record: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(record, (int, float)):
        yield name, record
        return
    for key, value in record.items() if isinstance(record, dict) else enumerate(record):
        yield from _flat(value, f"{name}/{key}".removeprefix("/"))


def differences(expected: Record, found: Record) -> dict[str, float]:
    """Relative difference of every recorded number, infinite where it is missing; at most RTOL is equal."""
    today = dict(_flat(found))
    out = {}
    for name, value in _flat(expected):
        difference = abs(today.get(name, math.inf) - value) / (abs(value) + ATOL / RTOL)
        out[name] = math.inf if math.isnan(difference) else difference
    return out


def _compare(names: list[str]) -> int:
    expected, failed = json.loads(RECORD.read_text()), 0
    for name in names:
        try:
            found = differences(expected[name], measure(CASES[name]))
            where = max(found, key=lambda entry: found[entry])
            worst, told = found[where], where
        except Exception as error:
            worst, told = math.inf, f"{type(error).__name__}: {error}"[:200]
        failed += worst > RTOL
        sys.stdout.write(f"{'FAIL' if worst > RTOL else 'ok':4} {worst:8.1e}  {name}  ({told})\n")
    sys.stdout.write(f"{failed} of {len(names)} cases differ by more than {RTOL:g}\n")
    return int(failed > 0)


def main() -> int:
    """Records or compares, as the command line says."""
    parser = argparse.ArgumentParser(description="Golden numbers of the losses.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--record", action="store_true", help="write golden.json")
    mode.add_argument("--compare", action="store_true", help="print the largest difference of every case")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    asked = parser.parse_args()
    if asked.compare:
        return _compare([name for name in CASES if asked.only in name])
    records = json.loads(RECORD.read_text()) if asked.only else {}
    records |= {name: measure(case) for name, case in CASES.items() if asked.only in name}
    lines = [f"{json.dumps(name)}: {json.dumps(records[name], allow_nan=False)}" for name in CASES]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
