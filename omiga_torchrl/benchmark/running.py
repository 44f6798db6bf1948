"""`run_suite`: from a suite to its report, however often it is stopped on the way."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from omiga_torchrl.benchmark.cells import setting_of
from omiga_torchrl.benchmark.cluster import RayLauncher
from omiga_torchrl.benchmark.defaults import Resolve, changed_defaults, mixed_defaults
from omiga_torchrl.benchmark.failures import load_failures
from omiga_torchrl.benchmark.grid import Grid, Vectorize
from omiga_torchrl.benchmark.launchers import Launcher, LocalLauncher
from omiga_torchrl.benchmark.progress import ProgressBar
from omiga_torchrl.benchmark.records import Record, load_records
from omiga_torchrl.benchmark.report import write_benchmark_report
from omiga_torchrl.benchmark.schedule import Outcome, Schedule
from omiga_torchrl.benchmark.suite import Suite
from omiga_torchrl.benchmark.tuning import choose
from omiga_torchrl.errors import require_choice, require_count, unknown_name
from omiga_torchrl.trainers.interruption import TrainingInterrupted, clean_interruption

_LOG = logging.getLogger(__name__)
LAUNCHERS: dict[str, Callable[[], Launcher]] = {"local": LocalLauncher, "ray": RayLauncher}


def run_suite(
    suite: Suite,
    out: str | Path,
    *,
    workers: int | None = None,
    launcher: str = "local",
    device: str = "cpu",
    vectorize: Vectorize = "auto",
    data_root: str | None = None,
    imports: Sequence[str] = (),
    resolve: Resolve | None = None,
    report_only: bool = False,
    progress: bool = True,
) -> float:
    """Records or finds the data, trains, evaluates, and reports; what is done already is not done again.

    Under a protocol with tuning trials these are run first, and the best setting of every algorithm in every
    cell then with the protocol's seeds. Failures are named at the end, in the report too, and stop no other
    run.

    Args:
        suite: what is run.
        out: folder of the grid, which several processes and machines may share.

    Keyword Args:
        workers: jobs at a time; ``None``: as many as this process, or the cluster, has cores.
        launcher: ``"local"``, or ``"ray"``, on a running cluster.
        device: of the networks.
        vectorize: ``"true"``, ``"false"`` or ``"auto"``: train the seeds of a setting in one process.
        data_root: folder of converted and downloaded data; ``None`` is the user's cache.
        imports: modules that the recipes import first.
        resolve: from overrides of ``recipes/train.py`` to its whole configuration; with it, records that were
            made with other defaults than the present ones are named.
        report_only: run nothing.
        progress: show a progress bar.

    Returns:
        The share of the runs that have records.

    Raises:
        ValueError: an unknown launcher or value of ``vectorize``, or no workers.
        SettingsError: the disk is full.
        DataError: records contradict each other, or none is there.
        SystemExit: it was interrupted (128 + the signal), or runs have failed (1).
    """
    if launcher not in LAUNCHERS:
        raise unknown_name("benchmark", "launcher", launcher, LAUNCHERS)
    require_choice("benchmark", vectorize=(vectorize, ("auto", "true", "false")))
    require_count("benchmark", 1, workers=1 if workers is None else workers)
    grid = Grid(suite, Path(out), data_root, device, vectorize, tuple(imports))
    grid.records.mkdir(parents=True, exist_ok=True)
    records, notes = load_records(grid.records)
    load_failures(grid.records)  # a damaged file is an error before anything runs
    for note in notes:
        _LOG.warning("%s", note)
    outcome, trials = Outcome(), set[str]()
    starts = None if report_only else LAUNCHERS[launcher]()
    check = partial(_check_defaults, resolve=None if report_only else resolve)
    check(grid, records)
    if suite.needs_trials:
        outcome = _run(grid, starts, workers, progress)
        trials = {key for _, key in grid.specs}
        records = load_records(grid.records).records
        chosen = choose(grid.specs, {one.key: one for one in records})
        grid = replace(grid, suite=replace(suite, chosen=chosen))
        check(grid, records)
    outcome.failures.update(_run(grid, starts, workers, progress).failures)
    done = len(grid.specs) - len(grid.missing())
    if done:
        _LOG.info("report: %s", _report(grid, trials, notes, outcome))
    _tell_failures(outcome, done, len(grid.specs), grid.out)
    return done / max(1, len(grid.specs))


def _check_defaults(grid: Grid, records: Sequence[Record], resolve: Resolve | None) -> None:
    keys = {key for _, key in grid.specs}
    mixed = mixed_defaults(one for one in records if one.key in keys)
    changed = [] if resolve is None else changed_defaults(records, grid.specs, resolve)
    for told in (*mixed, *changed):
        _LOG.warning("%s", told)


def _run(grid: Grid, launcher: Launcher | None, workers: int | None, progress: bool) -> Outcome:
    """Runs what is missing; nothing without a launcher."""
    if launcher is None:
        return Outcome()
    jobs = grid.jobs()
    try:
        with clean_interruption(), ProgressBar(grid, jobs, shown=progress) as bar:
            schedule = Schedule(
                jobs, launcher, grid.out, workers=workers or launcher.cores(), on_change=bar.update
            )
            return schedule.run()
    except TrainingInterrupted as stop:
        done, total = len(grid.specs) - len(grid.missing()), len(grid.specs)
        what = " trials" if grid.suite.needs_trials else ""
        sys.stderr.write(f"{done} of {total}{what} done, run the same command to continue.\n")
        raise SystemExit(stop.exit_code) from None


def _report(grid: Grid, trials: Collection[str], notes: Sequence[str], outcome: Outcome) -> Path:
    """Of the suite's own runs; others that are in the folder are left out, and said to be."""
    keys, missing = {key for _, key in grid.specs}, grid.missing()
    found = load_records(grid.records)
    own = [one for one in found.records if one.key in keys or one.key in trials]
    failures = [one for one in load_failures(grid.records) if one.key in keys or one.key in trials]
    named = {name for one in failures for name in (one.key, setting_of(one.key))}
    told = [*notes, *(note for note in found.notes if note not in notes)]
    told += [f"Failed: {job}: {reason}" for job, reason in outcome.failures.items() if job not in named]
    if missing:
        told.append(f"{len(missing)} of {len(keys)} runs are missing: {', '.join(missing)}.")
    if len(own) < len(found.records):
        told.append(
            f"Left out, as no part of this suite as it is now: {len(found.records) - len(own)} records."
        )
    title = f"{grid.suite.title}: {grid.suite.name}"
    return write_benchmark_report(own, grid.out, title, failures=failures, notes=told)


def _tell_failures(outcome: Outcome, done: int, total: int, out: Path) -> None:
    _LOG.info("%d of %d runs have records in %s", done, total, out / "records")
    if outcome.failures:
        told = "".join(f"\n  - {job}: {reason}" for job, reason in outcome.failures.items())
        sys.stderr.write(
            f"benchmark: {len(outcome.failures)} jobs failed, the others are done. What they printed is in "
            f"{out / 'logs'}:{told}\n"
        )
        raise SystemExit(1)
