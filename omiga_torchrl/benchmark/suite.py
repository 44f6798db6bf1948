"""`Suite`: cells, algorithms, presets and seeds in plain values, and the runs that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from functools import partial
from typing import Any

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.behaviors.tiers import available_tiers
from omiga_torchrl.benchmark.cells import Cell, Contender, RunSpec
from omiga_torchrl.benchmark.protocol import BenchmarkProtocol, evaluation_protocol
from omiga_torchrl.envs import available_tasks
from omiga_torchrl.errors import SettingsError, require_count, unknown_name
from omiga_torchrl.trainers.settings import all_mistakes

DEFAULT_PRESET = "default"


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
        chosen: label and cell to the overrides that trials have chosen; ``None``: they are still to be run.
    """

    name: str
    title: str
    protocol: BenchmarkProtocol
    cells: tuple[Cell, ...]
    contenders: tuple[Contender, ...]
    presets: Mapping[str, Mapping[str, Sequence[str]]]
    train: tuple[str, ...] = ()
    chosen: Mapping[tuple[str, str], tuple[str, ...]] | None = None

    @property
    def needs_trials(self) -> bool:
        """Whether settings are still to be chosen: :meth:`runs` are the trials then."""
        return self.protocol.tuning_trials > 0 and self.chosen is None

    def restricted(self, algorithms: Sequence[str] | None, cells: Sequence[str] | None) -> Suite:
        """A part of the suite, whose runs are the same.

        Args:
            algorithms: labels of those that stay; ``None``: all.
            cells: patterns of those that stay, such as ``"vmas/*/expert"``; ``None``: all.

        Raises:
            SettingsError: an unknown label, or a pattern of no cell.
        """
        labels = [one.label for one in self.contenders]
        for label in algorithms or ():
            if label not in labels:
                raise SettingsError(str(unknown_name("benchmark", "algorithm", label, labels)))
        names = [cell.name for cell in self.cells]
        for pattern in cells or ():
            if not any(fnmatch(name, pattern) for name in names):
                raise SettingsError(str(unknown_name("benchmark", "cell", pattern, names)))
        kept = [cell for cell in self.cells if any(fnmatch(cell.name, one) for one in cells or ("*",))]
        contenders = [one for one in self.contenders if one.label in (algorithms or labels)]
        return replace(self, cells=tuple(kept), contenders=tuple(contenders))

    def runs(self) -> list[RunSpec]:
        """Every run, cell by cell; those whose trials have all failed are left out."""
        rows = [
            (cell, contender, preset)
            for cell in self.cells
            for preset in self.presets
            for contender in self.contenders
            if contender.learns(cell)
        ]
        if self.needs_trials:
            seed = self.protocol.tuning_seed
            return [self._run(*row, seed, tried) for row in rows for tried in row[1].tune]
        settings = [self._setting(*row) for row in rows]
        return [
            self._run(*row, seed, setting)
            for row, setting in zip(rows, settings, strict=True)
            if setting is not None
            for seed in self.protocol.seeds
        ]

    def _setting(self, cell: Cell, contender: Contender, preset: str) -> tuple[str, ...] | None:
        """The overrides that trials have chosen; nothing without trials, ``None`` where all have failed."""
        return () if self.chosen is None else self.chosen.get((_label(contender, preset), cell.name))

    def _run(
        self, cell: Cell, contender: Contender, preset: str, seed: int, tried: tuple[str, ...]
    ) -> RunSpec:
        chosen = self.presets[preset]
        where = [
            one for pattern, found in contender.where.items() if fnmatch(cell.name, pattern) for one in found
        ]
        overrides = [
            *(f"algorithm={contender.algorithm or contender.label}", *self.train, *cell.train),
            *(*contender.train, *where, *chosen.get("all", ()), *chosen.get(contender.label, ()), *tried),
        ]
        evaluation = evaluation_protocol(cell.evaluation, self.protocol.evaluation)
        label = _label(contender, preset)
        return RunSpec(cell, label, seed, _last_of_each(overrides), evaluation, tried)


def _label(contender: Contender, preset: str) -> str:
    return contender.label if preset == DEFAULT_PRESET else f"{contender.label}-{preset}"


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
    all_mistakes(
        "benchmark", [partial(check, suite) for check in (_check_cells, _check_contenders, _check_trials)]
    )
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
    given = _frozen(values)
    trials = given.get("tune", ())
    given["tune"] = tuple((one,) if isinstance(one, str) else tuple(one) for one in trials)
    return Contender(label, **given)


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


def _check_trials(suite: Suite) -> None:
    """Equal effort: every algorithm tries as many settings as the protocol says, each once."""
    needed = suite.protocol.tuning_trials
    counts = {one.label: len(set(one.tune)) for one in suite.contenders}
    if needed and (other := {label: count for label, count in counts.items() if count != needed}):
        raise ValueError(
            f"benchmark: the protocol tries tuning_trials={needed} settings for every algorithm, got "
            f"{', '.join(f'{count} for {label}' for label, count in other.items())}. Give each that many "
            f"under `tune`, such as [algorithm.alpha=1, algorithm.alpha=3], or leave it out."
        )


def _last_of_each(overrides: Iterable[str]) -> tuple[str, ...]:
    """Each key once, with the value that was given last."""
    return tuple({one.lstrip("+~").partition("=")[0]: one for one in overrides}.values())
