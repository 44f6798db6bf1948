"""Which runs are seeds of one setting, and which settings are compared: by the identity of every run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from omiga_torchrl.report.identity import RunIdentity, flat, identity_of
from omiga_torchrl.report.records import Run

# What makes runs comparable with each other: they were judged in the same way, after learning from the same.
_CONDITIONS = ("task.", "evaluation.", "data.fingerprint", "data.recorded")
_LONG = 12
Key = TypeVar("Key")


class SeparatedRuns(NamedTuple):
    """Runs whose names tell apart what must not be averaged or compared.

    Attributes:
        runs: one per setting and seed; ``info.dataset`` and ``info.algorithm`` name what differs, in
            brackets, where one name stands for several things.
        notes: what was separated or left out, one sentence each.
    """

    runs: list[Run]
    notes: list[str]


def separate_runs(runs: Iterable[Run]) -> SeparatedRuns:
    """Runs by what decides their results: a row of a table never mixes settings, nor a cell conditions.

    Runs of one task and dataset that differ in the data's content, in arguments of the task (its horizon,
    its rule for the reward) or in the evaluation protocol become cells of their own. Runs of one algorithm
    in a cell that differ in anything else but the seed become algorithms of their own. A seed that is there
    twice counts once: a finished run before one that is not, else the first by its path. Applied again it
    changes nothing.

    Args:
        runs: as read by :func:`omiga_torchrl.report.load_runs`.

    Examples:
        >>> from pathlib import Path
        >>> from omiga_torchrl.report import RunInfo
        >>> def run(alpha):
        ...     return Run(RunInfo("omiga", "game", "mixed", 0, {"alpha": alpha}), [], Path(f"a{alpha}"))
        >>> separated = separate_runs([run(0.1), run(10)])
        >>> [one.info.algorithm for one in separated.runs]
        ['omiga [alpha=0.1]', 'omiga [alpha=10]']
        >>> separated.notes
        ['game / mixed / omiga: 2 rows, as they differ in alpha.']
    """
    found, notes = list(runs), list[str]()
    rows = _apart(_apart(found, notes, conditions=True), notes, conditions=False)
    groups = _grouped(rows, lambda run: (*run.info.cell, run.info.algorithm))
    kept = [run for names, members in groups.items() for run in _once(members, names, notes)]
    order = {run.path: number for number, run in enumerate(found)}
    return SeparatedRuns(sorted(kept, key=lambda run: order[run.path]), notes)


def by_cell(runs: Iterable[Run]) -> dict[tuple[str, str], list[Run]]:
    """The runs of every task and dataset, in the order of their names, see :func:`separate_runs`.

    Args:
        runs: as read by :func:`omiga_torchrl.report.load_runs`.
    """
    return dict(sorted(_grouped(separate_runs(runs).runs, lambda run: run.info.cell).items()))


def _grouped(runs: Iterable[Run], key: Callable[[Run], Key]) -> dict[Key, list[Run]]:
    groups: dict[Key, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _apart(runs: Sequence[Run], notes: list[str], *, conditions: bool) -> list[Run]:
    """The runs, renamed where one name stands for several conditions, or else settings; adds the notes."""
    field, word = ("dataset", "cells") if conditions else ("algorithm", "rows")
    out = []
    groups = _grouped(runs, lambda run: run.info.cell if conditions else (*run.info.cell, run.info.algorithm))
    for names, members in groups.items():
        parts, keys = _parts(members, conditions=conditions)
        for brackets, part in parts:
            renamed: dict[str, Any] = {field: f"{names[-1]} [{brackets}]"} if brackets else {}
            out += [replace(run, info=replace(run.info, **renamed)) for run in part]
        if keys:
            notes.append(f"{' / '.join(names)}: {len(parts)} {word}, as they differ in {', '.join(keys)}.")
    return out


def _parts(runs: Sequence[Run], *, conditions: bool) -> tuple[list[tuple[str, list[Run]]], list[str]]:
    """Runs that agree, each with what distinguishes it as text; and the keys that differ."""
    values = [_settings(identity_of(run.info), conditions=conditions) for run in runs]
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for own, run in zip(values, runs, strict=True):
        groups.setdefault(json.dumps(own, sort_keys=True), (own, []))[1].append(run)
    every = sorted({key for own, _ in groups.values() for key in own})
    keys = [key for key in every if len({json.dumps(own.get(key)) for own, _ in groups.values()}) > 1]
    named = [(_brackets(own, keys), part) for own, part in groups.values()]
    return named, keys


def _settings(identity: RunIdentity, *, conditions: bool) -> dict[str, Any]:
    return {
        key: value
        for key, value in flat(identity.record).items()
        if key.startswith(_CONDITIONS) == conditions and key != "seed"
    }


def _brackets(own: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Settings that distinguish a group: ``alpha=0.1, lr=0.002``; of a key its last part, where clear."""
    last = [key.rpartition(".")[2] for key in keys]
    names = [short if last.count(short) == 1 else key for short, key in zip(last, keys, strict=True)]
    return ", ".join(f"{name}={_short(own.get(key))}" for name, key in zip(names, keys, strict=True))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:8] if len(text) > _LONG and text.isalnum() else text


def _once(runs: Sequence[Run], names: Sequence[str], notes: list[str]) -> list[Run]:
    """One run per seed; adds a note of the others."""
    chosen: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (run.final is None, str(run.path))):
        chosen.setdefault(run.info.seed, run)
    kept = {run.path for run in chosen.values()}
    left = [str(run.path) for run in runs if run.path not in kept]
    if left:
        notes.append(f"{' / '.join(names)}: a seed counts once; left out: {', '.join(left)}.")
    return [run for run in runs if run.path in kept]
