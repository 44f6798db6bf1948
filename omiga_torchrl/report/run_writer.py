"""`RunWriter`: writes the folder of a run, safe against crashes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from omiga_torchrl.errors import unknown_name
from omiga_torchrl.files import atomic_write
from omiga_torchrl.report.hyperparameters import changed_hyperparameters
from omiga_torchrl.report.records import (
    EVALUATIONS_FILE,
    LABELS,
    RUN_FILE,
    Label,
    RunInfo,
    read_evaluations,
)


class RunWriter:
    """Writes a run's folder; every evaluation is on disk when the call returns.

    Args:
        root: folder of all runs.
        info: what is run.
        existing: what to do with a folder that is there already: ``"error"``; ``"resume"`` appends
            (an evaluation repeated after a restart replaces the older one when read); ``"overwrite"``
            starts anew.

    Raises:
        FileExistsError: the folder exists and ``existing`` is ``"error"``.
        ValueError: unknown ``existing``, or resuming a run with other hyper-parameters.

    Examples:
        >>> import tempfile
        >>> from omiga_torchrl.report import load_runs
        >>> root = tempfile.mkdtemp()
        >>> writer = RunWriter(root, RunInfo("omiga", "vmas/navigation", "mixed", seed=0))
        >>> writer.evaluation(100, "training", returns=[1.0, 2.0], lengths=[5, 5])
        >>> load_runs(root)[0].evaluations[0].mean_return
        1.5
    """

    def __init__(
        self, root: str | Path, info: RunInfo, *, existing: Literal["error", "resume", "overwrite"] = "error"
    ) -> None:
        if existing not in ("error", "resume", "overwrite"):
            raise unknown_name("RunWriter", "value of existing", existing, ("error", "resume", "overwrite"))
        self.info = info
        self.path = Path(root) / info.folder
        self._file = self.path / EVALUATIONS_FILE
        if (self.path / RUN_FILE).exists():
            self._take_over(existing)
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path / RUN_FILE) as file:
            file.write((json.dumps(asdict(info), indent=2, default=str) + "\n").encode())
        _drop_partial_line(self._file)
        self._start = time.monotonic() - self._elapsed()

    def _take_over(self, existing: str) -> None:
        if existing == "error":
            raise FileExistsError(
                f"RunWriter: {self.path} holds a run already. Choose another root, or existing='resume' or "
                f"'overwrite'."
            )
        if existing == "overwrite":
            self._file.unlink(missing_ok=True)
            return
        before = json.loads((self.path / RUN_FILE).read_text())["hyperparameters"]
        changed = changed_hyperparameters(before, self.info.hyperparameters)
        if changed:
            raise ValueError(
                f"RunWriter: {self.path} was run with other values of {', '.join(changed)}; expected the "
                f"same hyper-parameters to resume. Use existing='overwrite' or another root."
            )

    def _elapsed(self) -> float:
        lines = read_evaluations(self._file) if self._file.exists() else []
        return max((line.wall_time for line in lines), default=0.0)

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
            label: ``"training"`` or ``"final"``.
            returns: raw episode returns `[E]`, at least one.
            lengths: steps per episode `[E]`.
            deterministic: whether the policy was.
            seed: seed of the evaluation.
            extra: further plain values.

        Raises:
            ValueError: unknown label or no returns.
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
        with self._file.open("a", encoding="utf-8") as file:
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
