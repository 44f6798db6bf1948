"""The scores of a report in the formats of other tools: CSV, marl-eval, rliable."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omiga_torchrl.benchmark.failures import FAILED
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.benchmark.scores import CHECKPOINTS, Scores
from omiga_torchrl.benchmark.tables import overview
from omiga_torchrl.files import atomic_write

COLUMNS = (
    *("task", "dataset", "algorithm", "seed", "final", "best", "last_five", "scaled_final", "scaled_best"),
    *("best_step", "steps", "values", "fingerprint", "wall_seconds", "cpu_seconds", "record"),
)


def write_exports(scores: Scores, records: Sequence[Record], out: str | Path) -> list[Path]:
    """Writes all of them, and the table in Markdown and LaTeX.

    Args:
        scores: of the report.
        records: they are from.
        out: folder to write to.

    Returns:
        The files: ``scores.csv``, ``marl_eval.json``, ``table.md``, ``table.tex``, and ``rliable.npz`` of the
        algorithms that have runs of the same seeds in all cells.
    """
    out = Path(out)
    texts = {
        "scores.csv": scores_csv(scores),
        "marl_eval.json": json.dumps(marl_eval(records), sort_keys=True, separators=(",", ":")) + "\n",
        "table.md": both_tables(scores, "md"),
        "table.tex": both_tables(scores, "tex"),
    }
    for name, text in texts.items():
        with atomic_write(out / name) as file:
            file.write(text.encode())
    written = [out / name for name in texts]
    matrices = rliable_matrices(scores)
    if matrices:
        with atomic_write(out / "rliable.npz") as file:
            np.savez(file, **matrices)  # type: ignore[arg-type]
        written.append(out / "rliable.npz")
    return written


def both_tables(scores: Scores, suffix: str) -> str:
    """The mean returns of the last policies, and those of the best checkpoints.

    Args:
        scores: of the report.
        suffix: ``"md"`` or ``"tex"``.
    """
    parts = []
    for title, checkpoint in zip(("Final policy", "Best checkpoint"), CHECKPOINTS, strict=True):
        table = overview(scores, checkpoint)
        parts += [f"% {title}", table.to_latex()] if suffix == "tex" else [f"{title}:", table.to_markdown()]
    return "\n\n".join(parts) + "\n"


def scores_csv(scores: Scores) -> str:
    """One line a run; failed ones have no numbers, and `<key>.failed` for a record.

    Args:
        scores: of the report.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    scaled = {
        (cell, algorithm, checkpoint): by_cell[i]
        for algorithm in scores.complete
        for checkpoint in CHECKPOINTS
        for by_cell in [scores.scaled_by_seed(algorithm, checkpoint)]
        for i, cell in enumerate(scores.scaled_cells)
    }
    for (cell, algorithm), entry in scores.entries.items():
        task, _, dataset = cell.rpartition("/")
        for one in sorted(entry.records, key=lambda one: one.values["seed"]):
            values, seed, run = one.values, one.values["seed"], one.run
            of_seed = [scaled.get((cell, algorithm, kind), {}).get(seed, "") for kind in CHECKPOINTS]
            writer.writerow(
                [
                    *(task, dataset, algorithm, seed, entry.final.get(seed, ""), entry.best.get(seed, "")),
                    *(entry.last_five.get(seed, ""), *of_seed, run.best.step if run.best else ""),
                    *(values["protocol"]["steps"], (values.get("values") or {}).get("trend", "")),
                    *(values["data"]["fingerprint"], values["cost"]["wall_seconds"]),
                    *(values["cost"]["cpu_seconds"], one.path.name),
                ]
            )
        for failure in entry.failed:
            row = {"task": task, "dataset": dataset, "algorithm": algorithm, "seed": failure.seed}
            row["record"] = f"{failure.key}{FAILED}"
            writer.writerow([row.get(name, "") for name in COLUMNS])
    return text.getvalue()


def marl_eval(records: Sequence[Record]) -> dict[str, Any]:
    """Raw returns in the layout of marl-eval: environment, task, algorithm, run, step.

    The absolute metric is the best checkpoint's on fresh episodes.

    Args:
        records: of the report.
    """
    found: dict[str, Any] = {}
    for one in records:
        environment, _, task = str(one.values["task"]).partition("/")
        run = one.run
        steps: dict[str, Any] = {
            f"step_{i}": {"step_count": each.step, "return": each.returns}
            for i, each in enumerate(run.labelled("training"))
        }
        if run.best is not None:
            steps["absolute_metrics"] = {"return": run.best.returns}
        algorithms = found.setdefault(environment, {}).setdefault(f"{task}/{run.info.dataset}", {})
        algorithms.setdefault(run.info.algorithm, {})[f"seed_{run.info.seed}"] = steps
    return found


def rliable_matrices(scores: Scores) -> dict[str, np.ndarray]:
    """Algorithm to its scaled returns `[runs, tasks]`, as rliable takes them; tasks as in ``scaled_cells``.

    Args:
        scores: of the report.

    Returns:
        One matrix for each algorithm with runs in all cells, of the seeds that it has in all of them.
    """
    found = {}
    for algorithm in scores.complete:
        by_seed = scores.scaled_by_seed(algorithm)
        shared = sorted(set.intersection(*(set(one) for one in by_seed)))
        if shared:
            found[algorithm] = np.array([[one[seed] for one in by_seed] for seed in shared])
    return found
