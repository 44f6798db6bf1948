"""Parts of a suite: `Cell`, `Contender`, and `RunSpec`, one run of a contender in a cell."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from typing import Any

from omiga_torchrl.evaluation import Protocol


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
        tune: settings that a tuned protocol tries in every cell, overrides each; the best one is run.
    """

    label: str
    algorithm: str = ""
    train: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tune: tuple[tuple[str, ...], ...] = ()

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
        tried: those of the overrides that are tried in a trial, or were chosen by trials.
    """

    cell: Cell
    label: str
    seed: int
    overrides: tuple[str, ...]
    evaluation: Protocol
    tried: tuple[str, ...] = ()

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


def setting_of(key: str) -> str:
    """A run's key without its seed.

    Args:
        key: of :meth:`RunSpec.key`.

    Examples:
        >>> setting_of("bc__vmas-navigation__mixed__seed0__0a1b2c3d")
        'bc__vmas-navigation__mixed__0a1b2c3d'
    """
    return re.sub(r"__seed\d+__", "__", key)
