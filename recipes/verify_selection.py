"""Offline selection against true returns: datasets are recorded, policies trained, chosen, and judged.

Run: ``python recipes/verify_selection.py`` (half an hour on one core; it goes on where it was stopped). Every
cell, a VMAS task and a tier, has 24 policies: six algorithms and settings, four checkpoints each. The results
are in ``recipes/results/selection/seed0``, one JSON a cell; ``--summary`` prints the table of those that are
there. Other cells, with their own data, policies and episodes: ``--seed 1``.
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
from omiga_torchrl.selection import Candidate, CheapScores, ScoredPolicy, Selection, find_candidates
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
    work = options.work or f"runs/verify_selection/seed{options.seed}"
    root = Path(work) / f"{task.replace('/', '-')}__{tier}"
    data, runs = root / "data", root / "runs"
    size = (f"transitions={options.transitions}", f"seed={options.seed}", "progress=false", "existing=keep")
    call("record_dataset", "run", f"task={task}", f"tier={tier}", f"out={data}", *size)
    each, last = options.steps // 4, options.steps
    common = (
        *(f"task={task}", f"dataset={data}", f"out={runs}", "existing=keep", "logger=null"),
        *(f"seed={options.seed}", f"trainer.steps={last}", f"evaluation.interval={each}"),
        "trainer.keep_checkpoints=4",
        *("trainer.progress_bar=false", "algorithm.hidden_sizes=[64,64]"),
        *(f"evaluation.episodes={options.episodes}", "evaluation.final_episodes=4"),
    )
    for run in RUNS:
        call("train", "train", *run, *common)
    trained = time.perf_counter()
    fqe = (f"fqe.steps={options.fqe_steps}", f"fqe.behavior_steps={2 * options.fqe_steps}")
    small = ("fqe.batch_size=128", "fqe.hidden_sizes=[64,64]", "fqe.seeds=3", f"critics=[{options.critics}]")
    every = (f"seed={options.seed}", "least_coverage=0")  # all values, to judge any rule
    selection = call("select_policy", "select", f"runs={runs}", *every, *fqe, *small)
    seconds = {"training": trained - began, "selection": time.perf_counter() - trained}
    return recorded(task, tier, selection, find_candidates(load_runs(runs)).candidates, seconds)


def recorded(
    task: str, tier: str, selection: Selection, candidates: list[Candidate], seconds: dict[str, float]
) -> dict[str, Any]:
    """The record of a cell: scores and true returns of every policy."""
    returns = {one.name: one.evaluation.returns for one in candidates if one.evaluation is not None}
    policies = [
        {
            "name": one.name, "return": float(np.mean(returns[one.name])), "coverage": one.coverage,
            "returns": [round(x, 3) for x in returns[one.name]],
            "values": dict(one.values), "cheap": vars(one.cheap),
        }
        for one in selection.policies
    ]  # fmt: skip
    return {
        "task": task, "tier": tier, "seconds": seconds, "coverage_of_data": selection.coverage_of_data,
        "calibration": {name: vars(one) for name, one in selection.calibration.items()},
        "policies": policies, "settings": dict(selection.settings),
    }  # fmt: skip


def judged(record: dict[str, Any], least_coverage: float) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Judgements of all scores of a cell, and the curves of an online budget."""
    steps = [int(one["name"].rpartition("@")[2]) for one in record["policies"]]
    # By construction it is 0.95 where actions are continuous; the first records do not say it.
    least = least_coverage * record.get("coverage_of_data", 0.95)
    policies = [
        ScoredPolicy(
            *(one["name"], one["name"].rpartition("@")[0], step, step == max(steps), one["coverage"]),
            one["values"] if one["coverage"] >= least else {},
            CheapScores(**one["cheap"]),
        )
        for one, step in zip(record["policies"], steps, strict=True)
    ]
    selection = Selection(policies, list(record["calibration"]), {}, least_coverage=least)
    returns = {one["name"]: one["returns"] for one in record["policies"]}
    banks = [returns[one.name] for one in selection.policies]
    curves = {
        "all": budget_curve(banks, PULLS),
        "first 5 by fitted value": budget_curve(banks, PULLS, order=list(range(5))),
    }
    return judge_selection(selection, {one["name"]: one["return"] for one in record["policies"]}), curves


def summary(records: list[dict[str, Any]], least_coverage: float) -> str:
    """Means over cells of every score's judgements, as a table."""
    lines = [["score", "cells", "rank correlation", "regret@1", "regret@3"]]
    judgements, curves = zip(*(judged(record, least_coverage) for record in records), strict=True)
    for name in dict.fromkeys(name for one in judgements for name in one):
        found = [one[name] for one in judgements if name in one]
        columns = [[one.get(key, np.nan) for one in found] for key in JUDGED]
        means = ["" if np.isnan(values).all() else f"{np.nanmean(values):.2f}" for values in columns]
        lines.append([name, str(len(found)), *means])
    for name in curves[0]:
        curve = np.mean([one[name] for one in curves], axis=0)
        told = ", ".join(f"{pulls}: {curve[pulls - 1]:.2f}" for pulls in (5, 10, 24, 50, 100))
        lines.append([f"UCB, {name}; regret after pulls {told}", str(len(records)), "", "", ""])
    return format_cells(lines, "markdown", names=1)


def main() -> None:
    """Verify the cells that have no record yet, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", help="folder of data and runs")
    parser.add_argument("--seed", type=int, default=0, help="of data, training and fits")
    parser.add_argument("--results", help="folder of the records; recipes/results/selection/seed<k>")
    parser.add_argument("--least-coverage", type=float, default=0.95, help="as of select_policy.py")
    parser.add_argument("--summary", action="store_true", help="print the table only")
    parser.add_argument("--transitions", type=int, default=5_000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--fqe-steps", type=int, default=500)
    parser.add_argument("--critics", default="auto,joint")
    parser.add_argument("--cells", type=int, default=len(CELLS), help="so many of them, the first ones")
    options = parser.parse_args()
    results = Path(options.results or RESULTS / f"seed{options.seed}")
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
    sys.stdout.write((summary(records, options.least_coverage) if records else "no record yet") + "\n")


if __name__ == "__main__":
    main()
