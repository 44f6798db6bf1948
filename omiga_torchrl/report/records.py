"""The folder of a run: what it was, and the raw returns of every evaluation.

::

    <root>/<algorithm>__<task>__<dataset>__seed<k>/     "/" in a name becomes "-"
        run.json            what was run, with which versions, and the reference returns
        evaluations.jsonl   one line per evaluation, appended; raw returns, never averages
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omiga_torchrl.errors import DataError
from omiga_torchrl.files import library_versions
from omiga_torchrl.plain_files import read_json, read_text

Label = Literal["training", "final", "best"]
LABELS: tuple[Label, ...] = ("training", "final", "best")
RUN_FILE = "run.json"
EVALUATIONS_FILE = "evaluations.jsonl"
_BEGIN = '{"step"'  # of a line
# What readers rely on.
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("algorithm", "task", "dataset"), str), "seed": int,
    **dict.fromkeys(("hyperparameters", "card", "versions", "identity", "audit"), Mapping),
    **dict.fromkeys(("behaviour_return", "best_checkpoint_return", "random_return"), int | float | None),
}  # fmt: skip


@dataclass(frozen=True)
class RunInfo:
    """Identity and settings of a run.

    Attributes:
        algorithm: name of the algorithm.
        task: name of the task, e.g. ``"vmas/navigation"``.
        dataset: name of the dataset, the source's own word.
        seed: training seed.
        hyperparameters: plain values, all that were used.
        behaviour_return: mean episode return of the dataset, raw.
        best_checkpoint_return: mean return of the best policy behind the data, deterministic.
        random_return: mean return of uniformly random actions.
        card: summary of the dataset's card.
        versions: versions of Python and the packages.
        identity: what decides the result, see :func:`omiga_torchrl.report.run_identity`; empty in runs of
            former versions.
        audit: how and where it was run, see :func:`omiga_torchrl.report.audit_record`. Not compared.

    Examples:
        >>> RunInfo("omiga", "vmas/navigation", "mixed", 0).folder
        'omiga__vmas-navigation__mixed__seed0'
    """

    algorithm: str
    task: str
    dataset: str
    seed: int
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    behaviour_return: float | None = None
    best_checkpoint_return: float | None = None
    random_return: float | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=library_versions)
    identity: Mapping[str, Any] = field(default_factory=dict)
    audit: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> str:
        """The name of the run's folder."""
        names = (name.replace("/", "-") for name in (self.algorithm, self.task, self.dataset))
        return "__".join((*names, f"seed{self.seed}"))

    @property
    def cell(self) -> tuple[str, str]:
        """Task and dataset: runs are comparable within a cell only."""
        return (self.task, self.dataset)


@dataclass(frozen=True)
class Evaluation:
    """One line of ``evaluations.jsonl``.

    Attributes:
        step: gradient steps done.
        label: ``"training"``, ``"final"`` for the one that is reported, or ``"best"`` for the checkpoint
            that was best in training, on the episodes of ``"final"``.
        returns: raw episode returns `[E]`.
        lengths: steps per episode `[E]`.
        deterministic: whether the policy was.
        seed: seed of the evaluation.
        wall_time: seconds since the run began.
        extra: whatever else was recorded, e.g. ``won``.
    """

    step: int
    label: Label
    returns: list[float]
    lengths: list[int]
    deterministic: bool
    seed: int
    wall_time: float
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean_return(self) -> float:
        """Mean of the returns."""
        return sum(self.returns) / len(self.returns)


@dataclass(frozen=True)
class Run:
    """A run read back.

    Attributes:
        info: what it was.
        evaluations: by step; one per (label, step).
        path: its folder.
    """

    info: RunInfo
    evaluations: list[Evaluation]
    path: Path

    def labelled(self, label: Label) -> list[Evaluation]:
        """The evaluations of one label, by step."""
        return [one for one in self.evaluations if one.label == label]

    @property
    def final(self) -> Evaluation | None:
        """The last final evaluation; ``None`` if the run did not finish."""
        found = self.labelled("final")
        return found[-1] if found else None

    @property
    def best(self) -> Evaluation | None:
        """The best checkpoint on fresh episodes; ``None`` if it was not evaluated on them."""
        found = self.labelled("best")
        return found[-1] if found else None


def best_in_training(evaluations: Iterable[Evaluation]) -> int | None:
    """The step of the best evaluation during training, the first of equal ones; ``None`` without any.

    Args:
        evaluations: in any order.

    Examples:
        >>> two = [Evaluation(step, "training", [r], [5], True, 0, 0.0) for step, r in ((10, 2.0), (20, 2.0))]
        >>> best_in_training(two)
        10
    """
    found = sorted((one.step, one.mean_return) for one in evaluations if one.label == "training")
    return max(found, key=lambda one: one[1])[0] if found else None


def load_runs(root: str | Path) -> list[Run]:
    """All runs below ``root`` as they are recorded, sorted by task, dataset, algorithm and seed.

    Args:
        root: folder of runs, or one run's folder.

    Raises:
        FileNotFoundError: there is no run below ``root``.
        DataError: a file is damaged elsewhere than in its last line, which a crash may truncate
            (that one is ignored with a warning).
    """
    files = sorted(Path(root).rglob(RUN_FILE))
    if not files:
        found = "none" if Path(root).is_dir() else "no such folder"
        raise FileNotFoundError(
            f"load_runs: {root} must hold folders of runs, each with a {RUN_FILE}, got {found}. Pass what "
            "out= of recipes/train.py was, or one run's folder."
        )
    runs = []
    for file in files:
        evaluations = file.parent / EVALUATIONS_FILE
        lines = read_evaluations(evaluations) if evaluations.exists() else []
        # A resumed run may have repeated evaluations: the newest line counts.
        latest = {(line.label, line.step): line for line in lines}
        runs.append(Run(read_info(file), sorted(latest.values(), key=lambda line: line.step), file.parent))
    return sorted(runs, key=lambda run: (*run.info.cell, run.info.algorithm, run.info.seed))


def final_scores(runs: Iterable[Run]) -> list[float]:
    """The mean return of the final evaluation of every finished run.

    Args:
        runs: as read by :func:`load_runs`.
    """
    return [run.final.mean_return for run in runs if run.final is not None]


def read_info(file: Path) -> RunInfo:
    """The description in a ``run.json``.

    Args:
        file: the file.

    Raises:
        DataError: it is damaged, or of another program.
    """
    hint = "Remove its folder, or run it again with existing=overwrite."
    values = read_json("load_runs", file, hint)
    try:
        info = RunInfo(**values)
    except TypeError as error:
        raise DataError(f"load_runs: {file} is no run description ({error}). {hint}") from None
    wrong = [
        f"{name} {values.get(name)!r:.40}"
        for name, kind in _KINDS.items()
        if not isinstance(getattr(info, name), kind)
    ]
    if wrong:
        raise DataError(f"load_runs: {file} is no run description, got {', '.join(wrong)}. {hint}")
    return info


def read_evaluations(file: Path) -> list[Evaluation]:
    """The lines of an ``evaluations.jsonl``, in the order they were written."""
    names = {"step", "label", "returns", "lengths", "deterministic", "seed", "wall_time"}
    lines = read_text("load_runs", file, "Remove the damaged lines.").splitlines(keepends=True)
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            extra = {name: record.pop(name) for name in record.keys() - names}
            one = Evaluation(**record, extra=extra)
            if one.label not in LABELS or not isinstance(one.step, int) or not math.isfinite(one.mean_return):
                raise ValueError("a label, step or return that is none")
            found.append(one)
        except (ValueError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
            # A crash truncates the line being written, so only one without its line end.
            begins = line.startswith(_BEGIN) or _BEGIN.startswith(line)
            if number == len(lines) and not line.endswith("\n") and begins:
                warnings.warn(f"load_runs: ignored the truncated last line {number} of {file}.", stacklevel=2)
                break
            raise DataError(
                f"load_runs: line {number} of {file} is damaged ({error}). Remove that line."
            ) from None
    return found
