"""The speed of a gradient step in one table and one picture.

Run: ``python -m tests.benchmarks.speed`` from the repository's root (or ``make bench``). Needs the extra
``plot``; the column of JAX appears where JAX is installed, d3rlpy's rows where d3rlpy is. Milliseconds of the
processor are medians of blocks timed in turn in one process, so that their ratios hold on a shared machine.
Every row is written to ``speed.json`` when it is there; a run that was stopped goes on after its last row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# One thread, as for PyTorch; JAX reads it when it is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import torch

from omiga_torchrl.files import atomic_write, library_versions
from omiga_torchrl.report.audit import hardware
from recipes.benchmark_steps import ALGORITHM_NAMES, SIZES
from tests.benchmarks.speed_picture import draw
from tests.benchmarks.speed_rows import d3rlpy_row, seeds_row, size_row, start_row, threads_row

Row = dict[str, Any]
# Agents/observation/action/batch/hidden: one number grows, the others stay.
AGENTS = [f"{agents}/18/2/128/64" for agents in (2, 8, 32, 64)]
BATCHES = [f"3/18/2/{batch}/64" for batch in (128, 256, 512, 1024)]
SEEDS = (1, 2, 5, 10, 20)
D3RLPY = ("iql", "td3_bc", "cql")
HELD = "3/18/2/128/64"


def planned(algorithms: list[str], sizes: list[str]) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Name and measurement of every row."""
    for size in sizes:
        for name in algorithms:
            yield f"size {name} {size}", lambda name=name, size=size: size_row(name, size, seeds=5)
    for size in AGENTS:
        yield f"agents omiga {size}", lambda size=size: size_row("omiga", size)
    for size in BATCHES:
        yield f"batch omiga {size}", lambda size=size: size_row("omiga", size)
    for count in SEEDS:
        yield f"seeds omiga {HELD} {count}", lambda count=count: seeds_row("omiga", HELD, count)
    for size in sizes:
        yield f"threads omiga {size}", lambda size=size: threads_row("omiga", size)
    for name in D3RLPY:
        yield f"d3rlpy {name} 1/17/6/256/256", lambda name=name: d3rlpy_row(name)
    yield f"start omiga {HELD}", lambda: start_row(HELD)


def measure(out: Path, rows: Iterator[tuple[str, Callable[[], Row]]]) -> dict[str, Row]:
    """All rows by name; those in ``out`` are kept, new ones are printed."""
    file = out / "speed.json"
    found: dict[str, Row] = json.loads(file.read_text("utf-8"))["rows"] if file.exists() else {}
    for name, row in rows:
        if name not in found:
            found[name] = row()
            record = {"versions": library_versions(), "hardware": hardware(), "rows": found}
            with atomic_write(file) as target:
                target.write(json.dumps(record, indent=1).encode())
        cells = "  ".join(f"{key} {value:.4g}" for key, value in found[name].items())
        sys.stdout.write(f"{name}: {cells}\n")
        sys.stdout.flush()
    return found


def table(rows: dict[str, Row]) -> str:
    """The rows of sizes in Markdown, as multiples of their matrix products."""
    lines = ["| algorithm | agents/observation/action/batch/hidden | products, ms | ", "|---|---|---|"]
    names = ("released", "plain", "eager", "loss", "step", "5 seeds", "JAX scan")
    lines[0] += " | ".join(names) + " |"
    lines[1] += "---|" * len(names)
    for name, row in rows.items():
        kind, algorithm, size = name.split()[:3]
        if kind == "size":
            cells = [f"{row[key] / row['products']:.2f}" if key in row else "" for key in names]
            lines.append(f"| {algorithm} | {size} | {row['products']:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--algorithms", default=ALGORITHM_NAMES)
    parser.add_argument("--sizes", default=SIZES, help="agents/observation/action/batch/hidden, ...")
    parser.add_argument("--only", default="", help="only rows whose name begins so, e.g. 'size omiga'")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = planned(options.algorithms.split(","), options.sizes.split(","))
    found = measure(options.out, ((name, row) for name, row in rows if name.startswith(options.only)))
    sys.stdout.write(f"\n{table(found)}\n\npicture: {draw(found, options.out / 'speed.png')}\n")


if __name__ == "__main__":
    main()
