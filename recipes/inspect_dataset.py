"""Statistics of a dataset: returns, TQ, coverage, and ranges of actions, rewards and observations.

Prints a table and writes statistics.json, statistics.md and statistics.png. The launch command is
in ``configs/inspect_dataset.yaml``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore

from omiga_torchrl.command_line import checked_overrides, run_once
from omiga_torchrl.data import OfflineDataset, dataset_statistics
from omiga_torchrl.plugins import import_modules
from omiga_torchrl.report import format_statistics, write_dataset_report


@dataclass
class InspectConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        dataset: a bundled or published dataset, or a dataset's file or folder in any layout.
        read: how the files are read: ``layout`` and fields of ``omiga_torchrl.data.ReadOptions``,
            e.g. ``+read.actions=clip``.
        out: folder of the report; null means ``runs/inspect/<name of the dataset>``.
        root: folder of the cache; null means the usual one.
        random_return: mean return of random actions, for TQ; null means what the card says.
        best_return: return of the best policy, for TQ; null means what the card says.
        chunk: transitions read at a time.
        progress: show a progress bar.
    """

    imports: list[str] = field(default_factory=list)
    dataset: str = "vmas/navigation/mixed"
    read: dict[str, Any] = field(default_factory=dict)
    out: str | None = None
    root: str | None = None
    random_return: float | None = None
    best_return: float | None = None
    chunk: int = 100_000
    progress: bool = True


ConfigStore.instance().store("inspect_dataset_schema", node=InspectConfig)


def inspect(config: InspectConfig) -> None:
    """Prints the statistics of ``config.dataset`` and writes the report."""
    import_modules(config.imports)
    # Raw rewards need not be scaled back, which would round them.
    dataset = OfflineDataset(
        config.dataset, root=config.root, reward_scale=None, progress=config.progress, **config.read
    )
    statistics = dataset_statistics(
        dataset,
        random_return=config.random_return,
        best_return=config.best_return,
        chunk=config.chunk,
        progress=config.progress,
    )
    name = dataset.card.name
    sys.stdout.write(f"{name}\n\n{format_statistics(statistics, 'terminal')}\n\n{dataset.ends}\n\n")
    for path in write_dataset_report(statistics, config.out or Path("runs/inspect") / name, name):
        sys.stdout.write(f"wrote {path}\n")


@hydra.main(version_base="1.3", config_path="configs", config_name="inspect_dataset")
def main(config: Any) -> None:
    """Entry point of the command line."""
    run_once("inspect_dataset", config, inspect)


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("inspect_dataset", sys.argv[1:], InspectConfig, configs)
    main()
