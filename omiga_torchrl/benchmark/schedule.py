"""`Schedule`: runs jobs side by side, goes on where it was, and stops cleanly."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from omiga_torchrl.benchmark.launchers import Launcher, Worker
from omiga_torchrl.errors import DataError, SettingsError
from omiga_torchrl.report.lock import RunLockedError, held_handles, lock_folder, release_folder
from omiga_torchrl.trainers.interruption import deferred_signals

RETRIES: Final = 2
SPACE: Final = 200  # MiB
_DEAD: Final = (129, 130, 137, 143)  # of a shell, for a process that a signal ended
_PATIENCE: Final = 120.0  # seconds that a stopped job has for its checkpoint


@dataclass(frozen=True)
class Job:
    """A command, and how to see that it is done.

    Attributes:
        name: names its log file.
        command: a recipe's name and its overrides.
        finished: looks whether the results are there; may write the records of runs that have ended.
        keys: what it makes, each locked while it runs.
        after: names of jobs that have to be finished before.
        runs: how many runs it counts for; 0 for data.
        failed: called with the job and the reason when it has failed by itself.
    """

    name: str
    command: tuple[str, ...]
    finished: Callable[[], bool]
    keys: tuple[str, ...]
    after: tuple[str, ...] = ()
    runs: int = 1
    failed: Callable[[Job, str], object] = lambda job, reason: None


@dataclass
class Outcome:
    """The outcome of a schedule.

    Attributes:
        done: names of finished jobs.
        failures: name of a job to the reason, in the order in which they failed.
    """

    done: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    job: Job
    worker: Worker
    locks: list[Path]


class Schedule:
    """Jobs, of which several run at once; another process with the same folder takes part.

    What is finished is not run again. A job whose process has died is started again, twice at most; one that
    has failed is named at the end and stops no other, but those that need it. A job that another process or
    machine has locked is waited for.

    Args:
        jobs: those that others need come first.
        launcher: starts them.
        folder: for ``locks`` and ``logs``.
        workers: jobs at a time.
        on_change: called with the outcome so far and the names of the running jobs, now and then.
        interval: seconds between two looks at the running jobs.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        launcher: Launcher,
        folder: str | Path,
        *,
        workers: int,
        on_change: Callable[[Outcome, Sequence[str]], object] = lambda outcome, running: None,
        interval: float = 0.2,
    ) -> None:
        self.outcome = Outcome()
        self._pending = list(jobs)
        self._launcher = launcher
        self._folder = Path(folder)
        self._workers = workers
        self._on_change = on_change
        self._interval = interval
        self._running: list[_Running] = []
        self._attempts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def run(self) -> Outcome:
        """Runs all jobs; after a signal the running ones are stopped, each with a checkpoint.

        Raises:
            TrainingInterrupted: a signal has come.
            SettingsError: the disk is full; what runs is stopped.
        """
        try:
            with deferred_signals() as signals:
                while (self._pending or self._running) and signals.signum is None:
                    self._collect()
                    self._start()
                    self._on_change(self.outcome, [one.job.name for one in self._running])
                    if self._running or self._pending:
                        time.sleep(self._interval)
                self._stop()
        finally:  # also after a second signal, which does not wait
            for one in self._running:
                one.worker.kill()
                self._release(one.locks)
        return self.outcome

    def _start(self) -> None:
        """Starts the jobs that can be, as long as there is room."""
        for job in list(self._pending):
            if len(self._running) >= self._workers:
                return
            missing = [name for name in job.after if name not in self.outcome.done]
            failed = [name for name in missing if name in self.outcome.failures]
            if failed:
                self._settle(job, f"not run: {failed[0]} has failed")
            elif not missing and time.monotonic() >= self._not_before.get(job.name, 0.0):
                self._try(job)

    def _try(self, job: Job) -> None:
        if self._is_finished(job):
            return
        self._require_space()
        locks = [self._folder / "locks" / key for key in job.keys]
        try:
            for lock in locks:
                lock.mkdir(parents=True, exist_ok=True)
                lock_folder(lock)
        except RunLockedError:  # another process has it: its result counts
            self._release(locks)
            self._not_before[job.name] = time.monotonic() + max(2.0, self._interval)
            return
        if self._is_finished(job):  # by whoever had the lock until now
            self._release(locks)
            return
        log = self._folder / "logs" / f"{job.name}.txt"
        worker = self._launcher.start(job.command, log, held_handles(locks))
        self._pending.remove(job)
        self._running.append(_Running(job, worker, locks))

    def _collect(self) -> None:
        """Settles the jobs that have ended."""
        for one in list(self._running):
            code = one.worker.poll()
            if code is None:
                continue
            self._running.remove(one)
            self._pending.insert(0, one.job)
            try:
                if self._is_finished(one.job):
                    continue
                attempts = self._attempts[one.job.name] = self._attempts.get(one.job.name, 0) + 1
                died = code < 0 or code in _DEAD
                if not died:
                    reason = reason_of(self._folder / "logs" / f"{one.job.name}.txt", code)
                    one.job.failed(one.job, reason)
                    self._settle(one.job, reason)
                elif attempts > RETRIES:
                    self._settle(one.job, f"its process died {attempts} times, the last time with {code}")
            finally:
                self._release(one.locks)

    def _is_finished(self, job: Job) -> bool:
        """Whether there is nothing to do for a pending job any more."""
        try:
            finished = job.finished()
        except DataError as error:
            self._settle(job, str(error))
            return True
        if finished:
            self._pending.remove(job)
            self.outcome.done.add(job.name)
        return finished

    def _settle(self, job: Job, reason: str) -> None:
        self._pending.remove(job)
        self.outcome.failures[job.name] = reason

    def _stop(self) -> None:
        for one in self._running:
            one.worker.stop()
        end = time.monotonic() + _PATIENCE
        while self._running and time.monotonic() < end:
            for one in [one for one in self._running if one.worker.poll() is not None]:
                self._running.remove(one)
                self._pending.append(one.job)
                self._is_finished(one.job)  # it may have ended just before
                self._release(one.locks)
            time.sleep(min(self._interval, 0.1))

    def _release(self, locks: Iterable[Path]) -> None:
        for lock in locks:
            release_folder(lock)

    def _require_space(self) -> None:
        free = shutil.disk_usage(self._folder).free >> 20
        if free < SPACE:
            raise SettingsError(
                f"benchmark: {free} MiB are free at {self._folder}; expected at least {SPACE}. What is done "
                f"is kept: free some, and run the same command to continue."
            )


def reason_of(log: Path, code: int) -> str:
    """Why a job has failed, from the last line of its log that says it.

    Args:
        log: what it printed.
        code: its exit code.

    Examples:
        >>> import tempfile
        >>> log = Path(tempfile.mkdtemp()) / "log.txt"
        >>> _ = log.write_text(chr(10).join(["Traceback", "ValueError: no cell", "", "Set the variable"]))
        >>> reason_of(log, 1)
        'ValueError: no cell'
    """
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    told = [line.strip() for line in lines if "Error: " in line or line.startswith("error: ")]
    if not told and lines and lines[-1].startswith("Set the environment variable HYDRA_FULL_ERROR"):
        told = lines[:1]  # Hydra says first what is wrong with the settings
    return told[-1].removeprefix("error: ") if told else f"exit code {code}, see {log}"
