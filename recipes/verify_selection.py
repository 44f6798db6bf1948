"""Offline selection against true returns: datasets are recorded, policies trained, chosen, and judged.

Run: ``python recipes/verify_selection.py`` (an hour on one core; it goes on where it was stopped). Every
cell, a VMAS task and a tier, has 24 policies: six algorithms and settings, four checkpoints each. The results
are in ``recipes/results/selection``, one JSON a cell; ``--summary`` prints the table of those that are there.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.files import atomic_write
from omiga_torchrl.report import load_runs
from omiga_torchrl.report.table import format_cells
from omiga_torchrl.selection import Candidate, Selection, find_candidates
from omiga_torchrl.selection.verification import budget_curve, judge_selection

RECIPES = Path(__file__).resolve().parent
RESULTS = RECIPES / "results" / "selection"
TIERS = ("mixed", "medium-replay", "medium")
CELLS = [
    (task, tier)
    for tier in TIERS
    for task in ("vmas/navigation", "vmas/balance", "vmas/reverse_transport", "vmas/give_way")
]
RUNS = (
    ("algorithm=bc",),
    ("algorithm=iql",),
    ("algorithm=omiga",),
    ("algorithm=icq",),
    ("algorithm=td3_bc",),
    ("algorithm=td3_bc", "algorithm.alpha=20", "+algorithm.label=td3_bc_alpha20"),
)
PULLS = 100
JUDGED = ("rank_correlation", "regret_at_1", "regret_at_3")


def call(recipe: str, function: str, *overrides: str) -> Any:
    """A recipe's function with its configuration, in this process."""
    found = runpy.run_path(str(RECIPES / f"{recipe}.py"))
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        config = OmegaConf.to_object(compose(recipe, list(overrides)))
    return found[function](config)


def verify(task: str, tier: str, options: argparse.Namespace) -> dict[str, Any]:
    """Record, train, choose and judge one cell."""
    began = time.perf_counter()
    root = Path(options.work) / f"{task.replace('/', '-')}__{tier}"
    data, runs = root / "data", root / "runs"
    size = (f"transitions={options.transitions}", "progress=false", "existing=keep")
    call("record_dataset", "run", f"task={task}", f"tier={tier}", f"out={data}", *size)
    each, last = options.steps // 4, options.steps
    common = (
        *(f"task={task}", f"dataset={data}", f"out={runs}", "existing=keep", "logger=null"),
        *(f"trainer.steps={last}", f"evaluation.interval={each}", "trainer.keep_checkpoints=4"),
        *("trainer.progress_bar=false", "algorithm.hidden_sizes=[64,64]"),
        *(f"evaluation.episodes={options.episodes}", "evaluation.final_episodes=4"),
    )
    for run in RUNS:
        call("train", "train", *run, *common)
    trained = time.perf_counter()
    fqe = (f"fqe.steps={options.fqe_steps}", f"fqe.behavior_steps={2 * options.fqe_steps}")
    small = ("fqe.batch_size=128", "fqe.hidden_sizes=[64,64]", "fqe.seeds=3", f"critics=[{options.critics}]")
    selection = call("select_policy", "select", f"runs={runs}", *fqe, *small)
    seconds = {"training": trained - began, "selection": time.perf_counter() - trained}
    return judged(task, tier, selection, find_candidates(load_runs(runs)).candidates, seconds)


def judged(
    task: str, tier: str, selection: Selection, candidates: list[Candidate], seconds: dict[str, float]
) -> dict[str, Any]:
    """The record of a cell: scores, truth, judgements, and the curves of an online budget."""
    returns = {one.name: one.evaluation.returns for one in candidates if one.evaluation is not None}
    truth = {name: float(np.mean(values)) for name, values in returns.items()}
    names = [one.name for one in selection.policies]
    banks = [returns[name] for name in names]
    orders = {"all": None, "first 5 by fitted value": list(range(5))}
    curves = {name: budget_curve(banks, PULLS, order=order) for name, order in orders.items()}
    policies = [
        {
            "name": one.name, "return": truth[one.name], "coverage": one.coverage,
            "returns": [round(x, 3) for x in returns[one.name]],
            "values": dict(one.values), "cheap": vars(one.cheap),
        }
        for one in selection.policies
    ]  # fmt: skip
    return {
        "task": task, "tier": tier, "seconds": seconds, "warnings": selection.warnings,
        "calibration": {name: vars(one) for name, one in selection.calibration.items()},
        "judgements": judge_selection(selection, truth),
        "regret_by_pulls": {name: [round(x, 4) for x in curve] for name, curve in curves.items()},
        "policies": policies, "settings": dict(selection.settings),
    }  # fmt: skip


def summary(records: list[dict[str, Any]]) -> str:
    """Means over cells of every score's judgements, as a table."""
    lines = [["score", "cells", "rank correlation", "regret@1", "regret@3"]]
    names = dict.fromkeys(name for record in records for name in record["judgements"])
    for name in names:
        found = [record["judgements"][name] for record in records if name in record["judgements"]]
        columns = [[one.get(key, np.nan) for one in found] for key in JUDGED]
        means = ["" if np.isnan(values).all() else f"{np.nanmean(values):.2f}" for values in columns]
        lines.append([name, str(len(found)), *means])
    for name in records[0]["regret_by_pulls"]:
        curve = np.mean([record["regret_by_pulls"][name] for record in records], axis=0)
        told = ", ".join(f"{pulls}: {curve[pulls - 1]:.2f}" for pulls in (5, 10, 24, 50, 100))
        lines.append([f"UCB, {name}; regret after pulls {told}", str(len(records)), "", "", ""])
    return format_cells(lines, "markdown", names=1)


def main() -> None:
    """Verify the cells that have no record yet, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="runs/verify_selection", help="folder of data and runs")
    parser.add_argument("--results", default=str(RESULTS), help="folder of the records")
    parser.add_argument("--summary", action="store_true", help="print the table only")
    parser.add_argument("--transitions", type=int, default=5_000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--fqe-steps", type=int, default=500)
    parser.add_argument("--critics", default="auto,joint")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="so many of them, the first ones")
    options = parser.parse_args()
    results = Path(options.results)
    for task, tier in () if options.summary else CELLS[: options.cells]:
        file = results / f"{task.replace('/', '-')}__{tier}.json"
        if file.exists():
            continue
        record = verify(task, tier, options)
        with atomic_write(file) as out:
            out.write(f"{json.dumps(record)}\n".encode())
        sys.stdout.write(f"wrote {file}\n")
        sys.stdout.flush()
    records = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    sys.stdout.write((summary(records) if records else "no record yet") + "\n")


if __name__ == "__main__":
    main()
