"""Trials: which of the settings of an algorithm is run in a cell, and what others see of the choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from omiga_torchrl.benchmark.cells import RunSpec
from omiga_torchrl.benchmark.records import Record
from omiga_torchrl.benchmark.scores import is_trial, last_five
from omiga_torchrl.benchmark.table_forms import Table
from omiga_torchrl.benchmark.tables import number


def trial_return(record: Record) -> float:
    """The return that a trial is judged by: the mean of its last five evaluations in training.

    The fresh episodes of the final evaluation, which all results are of, choose nothing.

    Args:
        record: of the trial.
    """
    return last_five(record.run)


def choose(
    trials: Iterable[tuple[RunSpec, str]], records: Mapping[str, Record]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """The setting of every algorithm in every cell that had the highest return; the first of equal ones.

    Args:
        trials: with the keys of their records.
        records: by key; trials without one have failed, and lose.

    Returns:
        Label and cell to overrides; nothing where all trials have failed.
    """
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    for spec, key in trials:
        if key not in records:
            continue
        place, reached = (spec.label, spec.cell.name), trial_return(records[key])
        if place not in best or reached > best[place][0]:
            best[place] = reached, spec.tried
    return {place: tried for place, (_, tried) in best.items()}


def tuning_table(records: Sequence[Record]) -> Table:
    """Every trial with its return, the best of each algorithm in each cell bold.

    Args:
        records: of the report; those that are no trials are left out.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for one in records:
        if is_trial(one):
            groups.setdefault((one.cell, one.values["algorithm"]), []).append(one)
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for (cell, algorithm), found in sorted(groups.items()):
        members = sorted(found, key=lambda one: one.values.get("tried", []))
        returns = [trial_return(one) for one in members]
        for one, reached in zip(members, returns, strict=True):
            bold |= {(len(rows), 3)} if reached == max(returns) else set()
            rows.append([cell, algorithm, ", ".join(one.values.get("tried", ())), number(reached)])
    columns = ["", "algorithm", "tried", "last five evaluations"]
    return Table(columns, rows, names=3, bold=frozenset(bold))
