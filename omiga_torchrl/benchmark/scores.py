"""`Scores`: what the runs of a table have reached, by algorithm, cell and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from omiga_torchrl.benchmark.cells import setting_of
from omiga_torchrl.benchmark.failures import Failure
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.benchmark.statistics import Array
from omiga_torchrl.benchmark.table_forms import MARKS
from omiga_torchrl.report.grouping import separate_runs
from omiga_torchrl.report.records import Run

Checkpoint = Literal["final", "best"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("final", "best")


@dataclass(frozen=True)
class Entry:
    """An algorithm in a cell, seed by seed.

    Attributes:
        final: seed to the mean return of the last policy.
        best: seed to the mean return of the best checkpoint, on the same fresh episodes.
        last_five: seed to the mean over the last five evaluations during training.
        records: the runs, by seed.
        failed: those that ended in an error.
    """

    final: Mapping[int, float]
    best: Mapping[int, float]
    last_five: Mapping[int, float]
    records: Sequence[Record]
    failed: Sequence[Failure] = ()

    @property
    def moving(self) -> dict[str, int]:
        """How many runs have values that rise or fall at their end, or are outside what the data support."""
        found = [(one.values.get("values") or {}).get("trend") for one in self.records]
        found += [outside_data(one) for one in self.records]
        return {mark: found.count(mark) for mark in MARKS if mark in found}


@dataclass(frozen=True)
class Scores:
    """All entries of a table.

    Attributes:
        entries: cell and algorithm to the entry, in the order of their names.
        references: cell to ``behaviour``, ``best_checkpoint`` and ``random``, and ``data_best``, the best
            episode in the data; ``None`` where it is not known.
        runs: all runs as reports read them, in the same names.
        notes: what was kept apart.
    """

    entries: Mapping[tuple[str, str], Entry]
    references: Mapping[str, Mapping[str, float | None]]
    runs: Sequence[Run]
    notes: Sequence[str]

    @classmethod
    def of(cls, records: Sequence[Record], failures: Sequence[Failure] = ()) -> Scores:
        """The scores in records; runs that differ in more than the seed get names that say so.

        Args:
            records: of one protocol; trials are left out.
            failures: of runs without a record; those in cells without any are left out.
        """
        records = [one for one in records if not is_trial(one)]
        by_path = {one.path: one for one in records}
        separated = separate_runs([one.run for one in records])
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in separated.runs:
            groups.setdefault((f"{run.info.task}/{run.info.dataset}", run.info.algorithm), []).append(run)
        entries = {
            names: _entry(members, [by_path[run.path] for run in members])
            for names, members in sorted(groups.items())
        }
        references: dict[str, Mapping[str, float | None]] = {}
        for (cell, _), entry in entries.items():
            references.setdefault(cell, _references(entry.records[0].values))
        entries = _with_failures(entries, [one for one in failures if not one.trial])
        return cls(entries, references, separated.runs, separated.notes)

    @property
    def cells(self) -> list[str]:
        """The names of the cells."""
        return list(self.references)

    @property
    def algorithms(self) -> list[str]:
        """The names of the algorithms."""
        return sorted({algorithm for _, algorithm in self.entries})

    @property
    def scaled_cells(self) -> list[str]:
        """Cells whose returns can be scaled: random actions are 0, the best behaviour checkpoint is 1."""
        return [cell for cell in self.cells if _scale(self.references[cell]) is not None]

    @property
    def complete(self) -> list[str]:
        """Algorithms with runs in every scaled cell, none of which failed: only these have aggregates."""
        cells = self.scaled_cells
        found = {one: [self.entries.get((cell, one)) for cell in cells] for one in self.algorithms}
        return [
            one for one, all_cells in found.items() if cells and all(e and not e.failed for e in all_cells)
        ]

    @property
    def has_aggregates(self) -> bool:
        """Whether there are several cells, and an algorithm that has runs in all of them."""
        return len(self.scaled_cells) > 1 and bool(self.complete)

    @property
    def has_ranking(self) -> bool:
        """Whether there are several cells and several algorithms to rank."""
        return len(self.cells) > 1 and len(self.algorithms) > 1

    def in_cell(self, cell: str) -> dict[str, Entry]:
        """The entries of a cell by algorithm, in the order of their names.

        Args:
            cell: its name.
        """
        return {algorithm: entry for (where, algorithm), entry in self.entries.items() if where == cell}

    def scaled(self, algorithm: str, checkpoint: Checkpoint = "final") -> list[Array]:
        """Scaled returns of an algorithm in every scaled cell, a run each, by seed `[R_t]`.

        Args:
            algorithm: one of :attr:`complete`.
            checkpoint: the last policy, or the best checkpoint.
        """
        return [np.array(list(found.values())) for found in self.scaled_by_seed(algorithm, checkpoint)]

    def scaled_by_seed(self, algorithm: str, checkpoint: Checkpoint = "final") -> list[dict[int, float]]:
        """The same by seed."""
        found = []
        for cell in self.scaled_cells:
            low, span = _scale(self.references[cell]) or (0.0, 1.0)
            returns = getattr(self.entries[cell, algorithm], checkpoint)
            found.append({seed: (value - low) / span for seed, value in sorted(returns.items())})
        return found


def outside_data(record: Record) -> str | None:
    """Whether a run's learned values ended ``"above"`` or ``"below"`` all discounted returns in its data.

    Args:
        record: of the run.
    """
    values = record.values.get("values") or {}
    bound, lower_bound = values.get("bound"), values.get("lower_bound")
    if bound is not None and values["values"][-1] > bound:
        return "above"
    return "below" if lower_bound is not None and values["values"][-1] < lower_bound else None


def is_trial(record: Record) -> bool:
    """Whether a run only served to choose a setting.

    Args:
        record: of the run.
    """
    protocol = record.values["protocol"]
    return bool(protocol.get("tuning_trials")) and record.values["seed"] == protocol["tuning_seed"]


def last_five(run: Run) -> float:
    """The mean return of a run's last five evaluations in training: less noisy than the last one alone.

    Args:
        run: with such evaluations.
    """
    return float(np.mean([one.mean_return for one in run.labelled("training")[-5:]]))


def _entry(runs: Sequence[Run], records: Sequence[Record]) -> Entry:
    final = {run.info.seed: run.final.mean_return for run in runs if run.final is not None}
    best = {run.info.seed: run.best.mean_return for run in runs if run.best is not None}
    last = {run.info.seed: last_five(run) for run in runs if run.labelled("training")}
    return Entry(final, best, last, records)


def _with_failures(
    entries: Mapping[tuple[str, str], Entry], failures: Sequence[Failure]
) -> dict[tuple[str, str], Entry]:
    """The entries with the failed seeds of each; without any record an algorithm has an empty entry."""
    settings = {setting_of(one.key): names for names, entry in entries.items() for one in entry.records}
    cells = {cell for cell, _ in entries}
    found = dict(entries)
    for one in failures:
        names = settings.get(setting_of(one.key), (one.cell, one.algorithm))
        if names[0] in cells:
            entry = found.get(names) or Entry({}, {}, {}, [])
            found[names] = replace(entry, failed=[*entry.failed, one])
    return dict(sorted(found.items()))


def _references(values: Mapping[str, Any]) -> dict[str, float | None]:
    return {**values["references"], "data_best": values["data"].get("return", {}).get("maximum")}


def _scale(references: Mapping[str, float | None]) -> tuple[float, float] | None:
    low, high = references.get("random"), references.get("best_checkpoint")
    if low is None or high is None or high <= low:
        return None
    return low, high - low
