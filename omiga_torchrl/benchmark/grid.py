"""`Grid`: the jobs of a suite in a folder, and the records that they make."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from omiga_torchrl.benchmark.cells import Cell, RunSpec, setting_of
from omiga_torchrl.benchmark.collecting import data_facts, finished_run, make_record
from omiga_torchrl.benchmark.failures import Failure, write_failure
from omiga_torchrl.benchmark.record_files import find_record
from omiga_torchrl.benchmark.records import write_record
from omiga_torchrl.benchmark.schedule import Job
from omiga_torchrl.benchmark.sources import RECORDING, Source, find_source
from omiga_torchrl.benchmark.suite import Suite
from omiga_torchrl.errors import DataError
from omiga_torchrl.plain_files import read_json

_QUIET: Final = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=stdout")
Vectorize = Literal["auto", "true", "false"]
# Hidden layers up to which several seeds in one process are faster on a CPU, see docs/speed.md; and steps
# below which compiling them as one graph takes longer than training them one after the other.
_SMALL: Final = 64
_FEW: Final = 3_000


@dataclass
class Grid:
    """The runs of a suite in a folder.

    ::

        <out>/records/      one file for every finished run, and for every one that has failed
        <out>/datasets/     recordings
        <out>/data/         statistics of the data
        <out>/runs/         folders of the runs, as recipes/train.py writes them
        <out>/logs/         what the jobs printed

    Args:
        suite: what is run.
        out: folder.
        data_root: folder of converted and downloaded data; ``None`` is the user's cache.
        device: of the networks.
        vectorize: seeds of a setting in one process; ``"auto"`` where that is faster, see docs/speed.md. They
            train at once; of fewer than 3,000 steps on a CPU one after the other.
        imports: modules that the recipes import first.

    Raises:
        SettingsError: the data of a cell are not here, and are not recorded.
    """

    suite: Suite
    out: Path
    data_root: str | None = None
    device: str = "cpu"
    vectorize: Vectorize = "auto"
    imports: tuple[str, ...] = ()
    sources: dict[str, Source] = field(init=False)
    specs: list[tuple[RunSpec, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.sources = {
            cell.name: find_source(cell, self.out / "datasets", self.data_root) for cell in self.suite.cells
        }
        self.specs = [(one, one.key(self.sources[one.cell.name].kind)) for one in self.suite.runs()]

    @property
    def records(self) -> Path:
        """The folder of records."""
        return self.out / "records"

    def jobs(self) -> list[Job]:
        """All jobs, those of the data first."""
        jobs = [job for cell in self.suite.cells for job in self._data_jobs(cell)]
        groups: dict[tuple[str, str], list[tuple[RunSpec, str]]] = {}
        for spec, key in self.specs:
            together = self._trains_together(spec)
            groups.setdefault((setting_of(key), "" if together else str(spec.seed)), []).append((spec, key))
        return jobs + [self._train_job(members) for members in groups.values()]

    def missing(self) -> list[str]:
        """The keys of runs without a record."""
        return [key for _, key in self.specs if find_record(self.records, key) is None]

    def _data_jobs(self, cell: Cell) -> list[Job]:
        source, folder = self.sources[cell.name], self._facts(cell).parent
        facts = self._job(
            f"data__{cell.name.replace('/', '-')}",
            "inspect_dataset",
            {"dataset": source.inspect, "out": str(folder), "progress": "false", **self._root("root")},
            finished=partial(_is_whole, self._facts(cell)),
        )
        if source.kind != RECORDING:
            return [facts]
        record = self._job(
            f"record__{cell.name.replace('/', '-')}",
            "record_dataset",
            {
                **{"task": cell.task, "tier": cell.tier, "transitions": str(cell.transitions)},
                **{"out": source.train, "existing": "keep", "progress": "false"},
            },
            cell.record,
            finished=(Path(source.train) / "card.json").is_file,
        )
        return [record, Job(**{**vars(facts), "after": (record.name,)})]

    def _train_job(self, members: list[tuple[RunSpec, str]]) -> Job:
        spec, key = members[0]
        cell, evaluation = spec.cell, spec.evaluation
        name = key if len(members) == 1 else setting_of(key)
        values = {
            **{"++algorithm.label": spec.label, "task": cell.task},
            "dataset": self.sources[cell.name].train,
            **{f"evaluation.{name}": str(value) for name, value in vars(evaluation).items()},
            **{"out": str(self._runs(key)), "existing": "keep", "logger": "csv", "device": self.device},
            **{"trainer.progress_bar": "false", "threads": "1", **self._root("data_root")},
        }
        if len(members) == 1:
            values["seed"] = str(spec.seed)
        else:
            values |= {"vectorize": "true", "seeds": f"[{','.join(str(one.seed) for one, _ in members)}]"}
            if self._are_few_steps(spec):
                values["compile"] = "none"
        return self._job(
            name,
            "train",
            values,
            spec.overrides,
            finished=partial(self._are_recorded, members),
            failed=partial(self._write_failures, members),
            keys=tuple(key for _, key in members),
            after=(f"data__{cell.name.replace('/', '-')}",),
            runs=len(members),
        )

    def _job(
        self,
        name: str,
        recipe: str,
        values: Mapping[str, str],
        overrides: tuple[str, ...] = (),
        *,
        keys: tuple[str, ...] = (),
        runs: int = 0,
        **options: Any,
    ) -> Job:
        given = [f"{key}={quoted(value)}" for key, value in values.items()]
        quiet = _QUIET if recipe == "record_dataset" else ()  # the others are
        imports = (f"imports=[{','.join(self.imports)}]",) if self.imports else ()
        command = (recipe, *overrides, *given, *imports, *quiet)
        return Job(name, command, keys=keys or (name,), runs=runs, **options)

    def _are_recorded(self, members: list[tuple[RunSpec, str]]) -> bool:
        """Whether all runs have records; writes those of runs that have ended."""
        found = [self._is_recorded(spec, key) for spec, key in members]  # of all, also after a missing one
        return all(found)

    def _is_recorded(self, spec: RunSpec, key: str) -> bool:
        if find_record(self.records, key) is not None:
            return True
        run = finished_run(self._runs(key), spec.seed)
        if run is None:
            return False
        cell = spec.cell
        data = {"source": self.sources[cell.name].kind, **data_facts(self._facts(cell))}
        protocol = self.suite.protocol.to_record(spec.evaluation)
        record = make_record(run, key=key, protocol=protocol, data=data, tried=spec.tried)
        write_record(self.records, record)
        return True

    def _write_failures(self, members: list[tuple[RunSpec, str]], job: Job, reason: str) -> None:
        """Of those runs of a job that have no record."""
        trial, command = self.suite.needs_trials, list(job.command)
        for spec, key in members:
            if find_record(self.records, key) is None:
                cell = spec.cell
                failure = Failure(
                    key,
                    spec.label,
                    cell.task,
                    cell.tier,
                    spec.seed,
                    trial=trial,
                    command=command,
                    reason=reason,
                )
                write_failure(self.records, failure)

    def _runs(self, key: str) -> Path:
        return self.out / "runs" / setting_of(key)

    def _facts(self, cell: Cell) -> Path:
        return self.out / "data" / cell.task / cell.tier / "statistics.json"

    def _root(self, name: str) -> dict[str, str]:
        return {} if self.data_root is None else {name: self.data_root}

    def _trains_together(self, spec: RunSpec) -> bool:
        if self.vectorize != "auto":
            return self.vectorize == "true"
        hidden = _numbers(spec, "algorithm.hidden_sizes")
        return self.device != "cpu" or (bool(hidden) and max(hidden) <= _SMALL)

    def _are_few_steps(self, spec: RunSpec) -> bool:
        steps = _numbers(spec, "trainer.steps")
        return self.device == "cpu" and bool(steps) and steps[0] < _FEW


def _numbers(spec: RunSpec, key: str) -> list[int]:
    """The numbers that a run's override has; none without it."""
    values = [one.partition("=")[2] for one in spec.overrides if one.startswith(f"{key}=")]
    return [int(number) for value in values for number in re.findall(r"\d+", value)]


def quoted(value: str) -> str:
    """A value as Hydra's command line takes it.

    Examples:
        >>> quoted("runs/a b"), quoted("omiga:hopper-3x1/medium"), quoted("[0,1]")
        ("'runs/a b'", 'omiga:hopper-3x1/medium', '[0,1]')
    """
    if re.fullmatch(r"[\w./:+-]+|\[[\w.,-]*\]", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _is_whole(file: Path) -> bool:
    try:
        return bool(read_json("benchmark", file, ""))
    except (FileNotFoundError, DataError):  # a killed process leaves the beginning
        return False
