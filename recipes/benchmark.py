"""Run a suite of cells, algorithms and seeds, and write its records and its report.

The launch command and examples are in ``configs/benchmark.yaml``.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import hydra
from hydra import compose
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, OmegaConf

from omiga_torchrl.benchmark import parse_suite, run_suite
from omiga_torchrl.benchmark.cluster import slurm_arguments
from omiga_torchrl.cli import find_recipe
from omiga_torchrl.command_line import checked_overrides, run_once, told_errors
from omiga_torchrl.plugins import import_modules


@dataclass
class BenchmarkConfig:
    """Fields of the recipe.

    Attributes:
        imports: modules to import first: those that register algorithms, environments or layouts of your own.
        suite: group ``suite``: what is run, see ``omiga_torchrl.benchmark.parse_suite``.
        seeds: in place of the protocol's; null: those.
        algorithms: labels of those that are run; null: all of the suite.
        cells: patterns of those that are run, such as ``vmas/*/expert``; null: all of the suite.
        out: folder of the grid, which processes and machines may share; null is ``runs/benchmark/<suite>``.
        workers: runs at a time; null: as many as there are cores.
        launcher: ``local``, processes of this machine; ``ray``, a running Ray cluster; ``slurm``, an array of
            jobs, see ``configs/hydra/launcher/suite_slurm.yaml``.
        nodes: jobs of the array, for ``launcher=slurm``.
        device: of the networks, see ``recipes/train.py``.
        vectorize: seeds of a setting in one process: ``true``, ``false``, or ``auto``, where that is faster.
        data_root: folder of converted and downloaded data; null is the user's cache.
        report_only: run nothing; report what is there.
        progress: show a progress bar.
        process: number of this job of an array; the command line writes it.
    """

    imports: list[str] = field(default_factory=list)
    suite: dict[str, Any] = MISSING
    seeds: list[int] | None = None
    algorithms: list[str] | None = None
    cells: list[str] | None = None
    out: str | None = None
    workers: int | None = None
    launcher: str = "local"
    nodes: int = 1
    device: str = "cpu"
    vectorize: str = "auto"
    data_root: str | None = None
    report_only: bool = False
    progress: bool = True
    process: int = 0


ConfigStore.instance().store("benchmark_schema", BenchmarkConfig)


def benchmark(config: BenchmarkConfig) -> float:
    """Runs the suite of ``config`` and writes its report."""
    import_modules(config.imports)
    name = HydraConfig.get().runtime.choices["suite"]
    given = {**config.suite, **({} if config.seeds is None else {"seeds": config.seeds})}
    return run_suite(
        parse_suite(name, given).restricted(config.algorithms, config.cells),
        config.out or Path("runs/benchmark") / name,
        workers=config.workers,
        launcher=config.launcher,
        device=config.device,
        vectorize=cast(Any, config.vectorize.lower()),  # YAML's true and false are given as words, too
        data_root=config.data_root,
        imports=config.imports,
        resolve=train_settings,
        report_only=config.report_only,
        progress=config.progress,
    )


@cache
def _enter_train() -> None:
    """Enters the dataclass of the recipe ``train``, without which its configuration cannot be composed."""
    runpy.run_path(str(find_recipe("run", "train")))


def train_settings(overrides: Sequence[str]) -> Mapping[str, Any]:
    """The whole configuration of the recipe ``train`` with these overrides."""
    _enter_train()
    given = [f"++{one}" if one.startswith("algorithm.") else one for one in overrides]
    return cast(Mapping[str, Any], OmegaConf.to_container(compose("train", given)))


@hydra.main(version_base="1.3", config_path="configs", config_name="benchmark")
def main(config: Any) -> float:
    """Entry point of the command line."""
    return float(run_once("benchmark", config, benchmark))


if __name__ == "__main__":
    configs = Path(__file__).parent / "configs"
    sys.argv[1:] = checked_overrides("benchmark", sys.argv[1:], BenchmarkConfig, configs)
    with told_errors():
        sys.argv[1:] = slurm_arguments(sys.argv[1:])
    main()
