"""The tables, the scores and the learning curves of a folder of runs.

Prints the tables and writes report.md, report.png and scores.png; see ``configs/report.yaml``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.report import (
    aggregate_scores,
    format_aggregates,
    format_table,
    load_runs,
    separate_runs,
    table_rows,
    write_report,
)


@dataclass
class ReportConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        runs: folder of runs, searched with its subfolders.
        out: folder of the report; null means ``<runs>/report``.
    """

    imports: list[str] = field(default_factory=list)
    runs: str = MISSING
    out: str | None = None


ConfigStore.instance().store("report_schema", node=ReportConfig)


def report(config: ReportConfig) -> None:
    """Prints the table of ``config.runs`` and writes the report."""
    import_modules(config.imports)
    runs, notes = separate_runs(load_runs(config.runs))
    sys.stdout.write(format_table(table_rows(runs), "terminal") + "\n")
    sys.stdout.write("".join(f"separated: {note}\n" for note in notes))
    overall = aggregate_scores(runs)
    if overall:
        sys.stdout.write("\nOver all cells, scaled:\n" + format_aggregates(overall, "terminal") + "\n")
    for path in write_report(config.runs, config.out or Path(config.runs) / "report"):
        sys.stdout.write(f"wrote {path}\n")


@hydra.main(version_base="1.3", config_path="configs", config_name="report")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run_once("report", config, report)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("report", sys.argv[1:], ReportConfig, configs)
    main()
