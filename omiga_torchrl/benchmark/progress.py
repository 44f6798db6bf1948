"""The one progress bar of a grid."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from omiga_torchrl.benchmark.cells import setting_of
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.benchmark.schedule import Job, Outcome

_FORMAT = "{desc} {n_fmt}/{total_fmt} runs |{bar:20}| {elapsed}, {remaining} left{postfix}"


class ProgressBar:
    """Shows runs and cells that are done, failures, what is running, and the time left.

    Args:
        grid: what is run.
        jobs: its jobs.
        shown: show it.

    Raises:
        ImportError: tqdm is not installed.
    """

    def __init__(self, grid: Grid, jobs: Sequence[Job], *, shown: bool = True) -> None:
        try:  # optional: extra "recipes"
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError(
                'benchmark: tqdm is missing. pip install "omiga-torchrl[recipes]", or progress=false'
            ) from error
        self._jobs = {job.name: job for job in jobs}
        self._cells: dict[str, set[str]] = {}
        self._job_of = {key: job.name for job in jobs for key in job.keys}
        for spec, key in grid.specs:
            self._cells.setdefault(spec.cell.name, set()).add(self._job_of[key])
        interactive = sys.stderr.isatty()
        self._bar: Any = tqdm(
            total=len(grid.specs),
            initial=len(grid.specs) - len(grid.missing()),
            desc=f"{grid.suite.name}, trials" if grid.suite.needs_trials else grid.suite.name,
            bar_format=_FORMAT,
            mininterval=0.5 if interactive else 30,
            disable=not shown,
        )
        self._last = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, outcome: Outcome, running: Sequence[str]) -> None:
        """Shows the state of the grid.

        Args:
            outcome: so far.
            running: names of jobs.
        """
        if self._bar.disable:
            return
        done = sum(self._jobs[name].runs for name in outcome.done)
        failed = sum(self._jobs[name].runs or 1 for name in outcome.failures)
        cells = sum(jobs <= outcome.done for jobs in self._cells.values())
        told = f"cells {cells}/{len(self._cells)}, failed {failed}"
        if running:
            told += f", now {setting_of(running[0]).rpartition('__')[0] or running[0]}"
        self._bar.set_postfix_str(told, refresh=False)
        if done > self._bar.n:
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._last > self._bar.mininterval:
            self._bar.refresh()
            self._last = time.monotonic()
