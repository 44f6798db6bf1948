"""`Suite`: cells, algorithms, presets and seeds in plain values, and the runs that they make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatch
from functools import partial
from typing import Any

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.behaviors.tiers import available_tiers
from omiga_torchrl.benchmark.protocol import BenchmarkProtocol, evaluation_protocol
from omiga_torchrl.envs import available_tasks
from omiga_torchrl.errors import SettingsError, require_count, unknown_name
from omiga_torchrl.evaluation import Protocol
from omiga_torchrl.trainers.settings import all_mistakes

DEFAULT_PRESET = "default"


@dataclass(frozen=True)
class Cell:
    """A task with a dataset.

    Attributes:
        task: name of the task.
        tier: of the dataset.
        transitions: recorded; 0 takes the dataset that is bundled with the package.
        published: name of a published dataset, taken instead where its file is on this machine.
        record: further overrides of ``recipes/record_dataset.py``.
        train: overrides of ``recipes/train.py``.
        evaluation: fields of the evaluation protocol that the task needs otherwise.
    """

    task: str
    tier: str
    transitions: int = 0
    published: str | None = None
    record: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Task and tier."""
        return f"{self.task}/{self.tier}"


@dataclass(frozen=True)
class Contender:
    """A row of the table: an algorithm with its arguments.

    Attributes:
        label: its name in records.
        algorithm: choice of the group ``algorithm``; empty is the label.
        train: overrides of ``recipes/train.py``.
        only: patterns of the cells that it can learn; empty: all.
        where: pattern of cells to further overrides; later ones win.
    """

    label: str
    algorithm: str = ""
    train: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def learns(self, cell: Cell) -> bool:
        """Whether it is run in a cell."""
        return not self.only or any(fnmatch(cell.name, pattern) for pattern in self.only)


@dataclass(frozen=True)
class RunSpec:
    """One run of a suite.

    Attributes:
        cell: where.
        label: of the algorithm, with the preset unless it is the default.
        seed: of the training.
        overrides: of ``recipes/train.py``, each key once; without the seed, the data and the folders.
        evaluation: how it is judged.
    """

    cell: Cell
    label: str
    seed: int
    overrides: tuple[str, ...]
    evaluation: Protocol

    def key(self, dataset: str) -> str:
        """The name of the run's record: who, where, the seed, and a hash of all that was asked for.

        Args:
            dataset: the data that it learns from: a published or bundled dataset, or ``"recording"``.
        """
        cell = self.cell
        asked: list[Any] = [list(self.overrides), asdict(self.evaluation), dataset]
        asked += [cell.transitions, list(cell.record)] if dataset == "recording" else []
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]
        task = cell.task.replace("/", "-")
        return f"{self.label}__{task}__{cell.tier}__seed{self.seed}__{digest}"


@dataclass(frozen=True)
class Suite:
    """A grid: cells, algorithms, presets and seeds, under one protocol.

    Attributes:
        name: of the suite.
        title: heading of its report.
        protocol: how runs are judged; has the seeds.
        cells: tasks with datasets.
        contenders: algorithms.
        presets: name to overrides by algorithm, ``"all"`` for every one; run one after the other.
        train: overrides of every run.
    """

    name: str
    title: str
    protocol: BenchmarkProtocol
    cells: tuple[Cell, ...]
    contenders: tuple[Contender, ...]
    presets: Mapping[str, Mapping[str, Sequence[str]]]
    train: tuple[str, ...] = ()

    def runs(self) -> list[RunSpec]:
        """Every run, cell by cell."""
        return [
            self._run(cell, contender, preset, seed)
            for cell in self.cells
            for preset in self.presets
            for contender in self.contenders
            if contender.learns(cell)
            for seed in self.protocol.seeds
        ]

    def _run(self, cell: Cell, contender: Contender, preset: str, seed: int) -> RunSpec:
        chosen = self.presets[preset]
        where = [
            one for pattern, found in contender.where.items() if fnmatch(cell.name, pattern) for one in found
        ]
        overrides = [
            *(f"algorithm={contender.algorithm or contender.label}", *self.train, *cell.train),
            *(*contender.train, *where, *chosen.get("all", ()), *chosen.get(contender.label, ())),
        ]
        label = contender.label if preset == DEFAULT_PRESET else f"{contender.label}-{preset}"
        evaluation = evaluation_protocol(cell.evaluation, self.protocol.evaluation)
        return RunSpec(cell, label, seed, _last_of_each(overrides), evaluation)


def parse_suite(name: str, values: Mapping[str, Any]) -> Suite:
    """The suite in plain values, as in ``recipes/configs/suite``.

    Args:
        name: of the suite.
        values: ``title``, ``protocol``, ``cells`` (any name to fields of :class:`Cell`, with ``tiers``,
            a list, in place of ``tier``; ``{tier}`` in ``published`` is replaced), ``algorithms`` (label to
            fields of :class:`Contender`), ``presets``, ``train``, and ``seeds`` in place of the protocol's.

    Raises:
        SettingsError: all mistakes in one message.

    Examples:
        >>> suite = parse_suite(
        ...     "mine",
        ...     {
        ...         "protocol": {"name": "mine", "seeds": [0, 1]},
        ...         "cells": {"navigation": {"task": "vmas/navigation", "tiers": ["mixed"]}},
        ...         "algorithms": {"bc": {}, "omiga": {"where": {"vmas/*": ["algorithm.alpha=3"]}}},
        ...     },
        ... )
        >>> [f"{run.label} {run.seed} {run.overrides[-1]}" for run in suite.runs()][1:3]
        ['bc 1 algorithm=bc', 'omiga 0 algorithm.alpha=3']
    """
    known = ("title", "protocol", "cells", "algorithms", "presets", "train", "seeds")
    _require_known("key of suite", values, known)
    protocol = {**values.get("protocol", {"name": name})}
    if values.get("seeds") is not None:
        protocol["seeds"] = values["seeds"]
    suite = Suite(
        name=name,
        title=values.get("title", name),
        protocol=BenchmarkProtocol.from_dict(protocol),
        cells=tuple(cell for name, group in values.get("cells", {}).items() for cell in _cells(name, group)),
        contenders=tuple(_contender(label, one or {}) for label, one in values.get("algorithms", {}).items()),
        presets=values.get("presets") or {DEFAULT_PRESET: {}},
        train=tuple(values.get("train", ())),
    )
    all_mistakes("benchmark", [partial(check, suite) for check in (_check_cells, _check_contenders)])
    return suite


def _cells(name: str, group: Mapping[str, Any]) -> list[Cell]:
    known = {one.name for one in fields(Cell)} - {"tier"} | {"tiers"}
    _require_known(f"key of cells.{name}", group, sorted(known))
    if missing := [key for key in ("task", "tiers") if not group.get(key)]:
        raise SettingsError(f"benchmark: cells.{name} has no {missing[0]}; expected a task and its tiers.")
    given = _frozen(group)
    published, tiers = given.pop("published", None), given.pop("tiers")
    return [Cell(**given, tier=one, published=published and published.format(tier=one)) for one in tiers]


def _contender(label: str, values: Mapping[str, Any]) -> Contender:
    _require_known(f"key of algorithms.{label}", values, [one.name for one in fields(Contender)][1:])
    return Contender(label, **_frozen(values))


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}


def _require_known(kind: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in values:
        if name not in (listed := list(known)):
            raise SettingsError(str(unknown_name("benchmark", kind, name, listed)))


def _check_cells(suite: Suite) -> None:
    names = [cell.name for cell in suite.cells]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"benchmark: cells are {names}; expected at least one, each once.")
    for cell in suite.cells:
        require_count("benchmark", 0, **{f"transitions of {cell.name}": cell.transitions})
        if cell.task not in (tasks := available_tasks()):
            raise unknown_name("benchmark", "task", cell.task, tasks)
        if cell.transitions and cell.tier not in (tiers := available_tiers(cell.task)):
            raise unknown_name("benchmark", "tier", cell.tier, tiers)


def _check_contenders(suite: Suite) -> None:
    if not suite.contenders:
        raise ValueError("benchmark: algorithms is empty; expected at least one.")
    for contender in suite.contenders:
        name = contender.algorithm or contender.label
        if name not in ALGORITHMS:
            raise unknown_name("benchmark", "algorithm", name, ALGORITHMS)
    labels = {contender.label for contender in suite.contenders} | {"all"}
    for preset, chosen in suite.presets.items():
        for label in chosen:
            if label not in labels and label not in ALGORITHMS:
                raise unknown_name("benchmark", f"algorithm of preset {preset}", label, labels)


def _last_of_each(overrides: Iterable[str]) -> tuple[str, ...]:
    """Each key once, with the value that was given last."""
    return tuple({one.lstrip("+~").partition("=")[0]: one for one in overrides}.values())
