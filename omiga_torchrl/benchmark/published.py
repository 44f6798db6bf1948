"""Published scores beside ours, with what differs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.table_forms import Table
from omiga_torchrl.benchmark.tables import number
from omiga_torchrl.plain_files import read_json

_FILE: Final = Path(__file__).resolve().parent.parent / "assets" / "published_scores.json"


@lru_cache(maxsize=1)
def published_scores() -> dict[str, Any]:
    """Name of a source to ``about``, what differs, and ``scores``: cell, algorithm, mean and deviation."""
    return read_json("benchmark", _FILE, "Install the package again.")


def published_table(scores: Scores) -> tuple[Table, list[str]]:
    """The cells and algorithms of a report of which published scores are known, and sentences about these.

    Args:
        scores: of the report.
    """
    rows, sources = [], []
    for name, source in published_scores().items():
        for cell, algorithms in source["scores"].items():
            for algorithm, (mean, std) in algorithms.items():
                entry = scores.entries.get((cell, algorithm))
                if entry is None or not entry.final:
                    continue
                data = entry.records[0].values["data"].get("source", "")
                ours = f"{number(float(np.mean(list(entry.final.values()))))} ({len(entry.final)} seeds)"
                behaviour = number(scores.references[cell].get("behaviour"))
                rows.append([cell, algorithm, f"{number(mean)} ± {number(std)}", ours, data, behaviour, name])
                sources.append(f"{name}: {source['about']}")
    columns = ["cell", "algorithm", "published", "ours", "our data", "their mean return", "source"]
    return Table(columns, rows, names=2), list(dict.fromkeys(sources))
