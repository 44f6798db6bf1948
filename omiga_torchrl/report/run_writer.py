"""`RunWriter`: writes the folder of a run, safe against crashes."""

from __future__ import annotations

import json
import math
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.files import atomic_write, storage_errors
from omiga_torchrl.report.audit import now, peak_memory
from omiga_torchrl.report.lock import release_folder
from omiga_torchrl.report.records import (
    EVALUATIONS_FILE,
    LABELS,
    RUN_FILE,
    Evaluation,
    Label,
    RunInfo,
    best_in_training,
    read_evaluations,
)
from omiga_torchrl.report.run_folder import Existing, claim_folder, is_finished


class RunWriter:
    """Writes a run's folder, as the only process; every evaluation is on disk when the call returns.

    Args:
        root: folder of all runs.
        info: what is run.
        existing: what to do if the run is there already: ``"error"``; ``"keep"`` and ``"resume"`` append to
            an interrupted run (an evaluation repeated after a restart replaces the older one when read) and
            leave a finished one alone; ``"extend"`` goes on to more steps; ``"overwrite"`` starts anew. See
            :func:`omiga_torchrl.report.claim_folder`.

    Attributes:
        path: the run's folder.
        info: what is run, as recorded.
        continues: whether a run was there that goes on.
        finished: whether the run has come to its end, and there is nothing to do.

    Raises:
        FileExistsError: the run is there and ``existing`` is ``"error"``.
        ValueError: unknown ``existing``, or resuming a run with other settings.
        RunLockedError: another process is writing it.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.report import load_runs
        >>> root = tempfile.mkdtemp()
        >>> writer = RunWriter(root, RunInfo("omiga", "vmas/navigation", "mixed", seed=0))
        >>> writer.evaluation(100, "training", returns=[1.0, 2.0], lengths=[5, 5])
        >>> load_runs(root)[0].evaluations[0].mean_return
        1.5
        >>> writer.finish()
        >>> RunWriter(root, writer.info, existing="keep").finished
        True
    """

    def __init__(self, root: str | Path, info: RunInfo, *, existing: Existing = "error") -> None:
        self.path, self.info, found = claim_folder(root, info, existing)
        self.continues = found is not None
        self._file = self.path / EVALUATIONS_FILE
        self._began = self._start = time.monotonic()
        self._cpu = time.process_time()
        same = found is not None and found.identity == self.info.identity
        if found is not None and is_finished(found) and same:
            self.info, self.finished = found, True
            release_folder(self.path)
            return
        self.finished = False
        before = {} if found is None else found.audit
        sessions = [*before.get("sessions", ()), {"started": now()}]
        self._record(id=before.get("id") or uuid.uuid4().hex[:12], sessions=sessions, finished=False)
        _drop_partial_line(self._file)
        self._start -= self._elapsed()

    def _record(self, **audit: Any) -> None:
        self.info = replace(self.info, audit={**self.info.audit, **audit})
        with atomic_write(self.path / RUN_FILE) as file:
            file.write((json.dumps(asdict(self.info), indent=2, default=str) + "\n").encode())

    @property
    def id(self) -> str:
        """Digits that no other run has; they stay when it goes on."""
        return str(self.info.audit["id"])

    @property
    def final_return(self) -> float:
        """Mean return of the last final evaluation; NaN if there is none."""
        return next((one.mean_return for one in reversed(self._lines()) if one.label == "final"), math.nan)

    @property
    def best_step(self) -> int | None:
        """The step of the best evaluation during training so far."""
        return best_in_training(self._lines())

    def _lines(self) -> list[Evaluation]:
        return read_evaluations(self._file) if self._file.exists() else []

    def finish(self) -> None:
        """Records that the run has come to its end, with its durations and peak memory; frees the folder."""
        *before, last = self.info.audit["sessions"]
        seconds = round(time.monotonic() - self._began, 3)
        times = {"seconds": seconds, "cpu_seconds": round(time.process_time() - self._cpu, 3)}
        session = {**last, "ended": now(), **times, "peak_memory": peak_memory()}
        self._record(sessions=[*before, session], finished=True)
        self.finished = True
        release_folder(self.path)

    def cut_back(self, step: int) -> None:
        """Removes the evaluations of later steps: of a run that went back to a checkpoint they come again.

        Args:
            step: of the last evaluation that stays.

        Examples:
            >>> import tempfile
            >>> writer = RunWriter(tempfile.mkdtemp(), RunInfo("bc", "game", "mixed", 0))
            >>> for at in (1, 2, 3):
            ...     writer.evaluation(at, "training", returns=[0.5])
            >>> writer.cut_back(2)
            >>> [one.step for one in read_evaluations(writer.path / "evaluations.jsonl")]
            [1, 2]
        """
        self._keep(lambda one: one.step <= step)

    def _keep(self, is_kept: Callable[[Evaluation], bool]) -> None:
        if not self._file.exists():
            return
        lines = self._file.read_bytes().splitlines(keepends=True)
        records = read_evaluations(self._file)
        kept = [line for line, one in zip(lines, records, strict=False) if is_kept(one)]
        if len(kept) < len(lines):
            with atomic_write(self._file) as file:
                file.write(b"".join(kept))

    def _elapsed(self) -> float:
        return max((line.wall_time for line in self._lines()), default=0.0)

    def evaluation(
        self,
        step: int,
        label: Label,
        *,
        returns: Sequence[float],
        lengths: Sequence[int] = (),
        deterministic: bool = True,
        seed: int = 0,
        **extra: Any,
    ) -> None:
        """Appends one evaluation; takes ``**EvaluationResult.to_record()``.

        Args:
            step: gradient steps done.
            label: ``"training"``, ``"final"`` or ``"best"``.
            returns: raw episode returns `[E]`, at least one.
            lengths: steps per episode `[E]`.
            deterministic: whether the policy was.
            seed: seed of the evaluation.
            extra: further plain values.

        Raises:
            ValueError: unknown label or no returns.
            StorageError: the disk is full.
        """
        if label not in LABELS:
            raise unknown_name("RunWriter", "label", label, LABELS)
        if not len(returns):
            raise ValueError(
                f"RunWriter: the evaluation at step {step} has no returns; expected one per episode."
            )
        record = {
            **{"step": step, "label": label, "returns": list(returns), "lengths": list(lengths)},
            **{"deterministic": deterministic, "seed": seed},
            **{"wall_time": round(time.monotonic() - self._start, 3), **extra},
        }
        if label != "training":  # a run that was killed right after it evaluates again
            self._keep(lambda one: (one.label, one.step) != (label, step))
        with storage_errors(self._file), self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _drop_partial_line(file: Path) -> None:
    """Cuts a line that a crash left unfinished: the next one must not continue it."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with atomic_write(file) as rewritten:
            rewritten.write(whole)
