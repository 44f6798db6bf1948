"""Runs of tests in forks of a process that has torch already: what takes long to import is imported once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensordict.nn  # noqa: F401
import torchrl.data
import torchrl.envs
import torchrl.objectives
import torchrl.trainers  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
_COPIED = (
    *("omiga_torchrl", "tests", "recipes", "docs", "conftest.py", "pyproject.toml", "constraints.txt"),
    *("Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
)


def copy_project(folder: Path) -> Path:
    """A copy of all that tests need."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
        else:
            shutil.copyfile(source, folder / name)
    return folder


def run_tests(
    tests: Sequence[str], copy: Path, seconds: float, plugin: Callable[[], Any] | None = None
) -> str:
    """The first failure of a run of tests in a copy of the project, ``"passed"``, or ``"too long"``.

    Args:
        tests: files, folders or single tests, from the root of the project.
        copy: the copy.
        seconds: time that they have.
        plugin: makes a plugin of pytest, in the process of the run.
    """
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as output:
        process = os.fork()
        if not process:
            _run_pytest(tests, copy, home, output.fileno(), plugin)
        code = _wait(process, seconds)
        output.seek(0)
        lines = output.read().splitlines()
    if code is None:
        return "too long"
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    nothing = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return "passed" if code in (0, nothing) else (failed or lines[-1:] or [f"exit code {code}"])[0][:300]


def _run_pytest(
    tests: Sequence[str], copy: Path, home: str, output: int, plugin: Callable[[], Any] | None
) -> None:
    """Runs tests in this process, which ends then."""
    code: int = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        # A fault in reading data must not stay in a cache.
        os.environ.update(OMIGA_TORCHRL_HOME=home, TMPDIR=home, PYTHONPATH=str(copy))
        tempfile.tempdir = home
        sys.path[:] = [str(copy), *(one for one in sys.path if Path(one or ".").resolve() != ROOT)]
        for name in [one for one in sys.modules if one.partition(".")[0] == "tests"]:
            del sys.modules[name]
        options = ["-q", "-n", "0", "-p", "no:cacheprovider"]
        first_failure_ends = [] if plugin else ["-x"]
        code = pytest.main([*options, *first_failure_ends, *tests], plugins=[plugin()] if plugin else [])
    except BaseException:  # nothing may go on beside the process that waits
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(process: int, seconds: float) -> int | None:
    """The exit code of another process; ``None``: it took too long, and was ended with all that it began."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None
