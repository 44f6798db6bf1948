"""Do the tests notice faults? One-line faults are put into a copy of the library, on which fast tests run.

``make mutants``, or ``python -m tests.mutants --count 100 --seed 1 --out runs/mutants``. All faults are tried
on the tests that mirror their files, then those that passed on the wider tests of their part; where these
take too long, a fault counts as survived. Results are appended to ``<out>/records.jsonl``; the same command
goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import pytest
import tensordict.nn  # noqa: F401
import torchrl.data
import torchrl.envs
import torchrl.objectives
import torchrl.trainers  # noqa: F401

from tests.mutations import Mutation, find_mutations

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "omiga_torchrl"
# Parts of the package that are changed, and tests that a fault has to pass to survive.
PARTS = {
    "functional": ("tests/functional", "tests/objectives"),
    "objectives": ("tests/objectives", "tests/algorithms", "tests/trainers"),
    "data": ("tests/data", "tests/test_damaged_files.py"),
    "evaluation": ("tests/evaluation", "tests/recipes"),
    "trainers": ("tests/trainers", "tests/evaluation", "tests/recipes"),
}
LOOKS = ("first", "wider")
_COPIED = (PACKAGE, "tests", "recipes", "conftest.py", "pyproject.toml", "Makefile", "constraints.txt")


@dataclass(frozen=True)
class Mutant:
    """A fault in a file of the library.

    Attributes:
        path: the file, from the root of the project.
        mutation: the fault.
    """

    path: str
    mutation: Mutation

    @property
    def name(self) -> str:
        """Tells it from the others."""
        one = self.mutation
        return f"{self.path}:{one.line}:{one.start}-{one.end} {one.kind}: {one.before!r} -> {one.after!r}"

    def source(self) -> str:
        """The file with the fault."""
        return self.mutation.apply((ROOT / self.path).read_text())


def sample_mutants(count: int, seed: int, parts: Sequence[str] = tuple(PARTS)) -> list[Mutant]:
    """Random faults, as many of each part as of the others, and within a part of each kind.

    Args:
        count: how many.
        seed: of the choice.
        parts: of the package.
    """
    order = random.Random(seed)
    return _alternate([_of_part(part, order) for part in parts])[:count]


def _of_part(part: str, order: random.Random) -> list[Mutant]:
    kinds: dict[str, list[Mutant]] = {}
    for file in sorted((ROOT / PACKAGE / part).rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        for mutation in find_mutations(file.read_text()):
            kinds.setdefault(mutation.kind, []).append(Mutant(path, mutation))
    shuffled = [order.sample(kinds[kind], len(kinds[kind])) for kind in sorted(kinds)]
    return _alternate(order.sample(shuffled, len(shuffled)))


def _alternate(lists: Sequence[Sequence[Mutant]]) -> list[Mutant]:
    return [one for one in chain.from_iterable(zip_longest(*lists)) if one is not None]


def first_tests(path: str) -> list[str]:
    """The tests that mirror a file of the library, those that import it, and the examples in it.

    Args:
        path: the file, from the root of the project.
    """
    inner = Path(path).relative_to(PACKAGE)
    module = ".".join(Path(path).with_suffix("").parts)
    folder = ROOT / "tests" / inner.parent
    found = set(folder.glob(f"test_{inner.stem}*.py"))
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text()
        if f"from {module} import" in text or f'"{module}' in text:
            found.add(file)
    return [*sorted(file.relative_to(ROOT).as_posix() for file in found), path]


def judge(mutant: Mutant, copy: Path, tests: Sequence[str], seconds: float) -> str:
    """What became of a fault: the test that failed, ``"passed"``, or ``"too long"``.

    Args:
        mutant: the fault.
        copy: a copy of the project that is like the original; it is so again afterwards.
        tests: to run.
        seconds: time that they have.
    """
    file = copy / mutant.path
    original = file.read_text()
    file.write_text(mutant.source())
    try:
        return run_tests(tests, copy, seconds)
    finally:
        file.write_text(original)


def run_tests(tests: Sequence[str], copy: Path, seconds: float) -> str:
    """The first failure of a run of tests in a copy of the project, ``"passed"``, or ``"too long"``."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as output:
        # What takes long to import and is not changed is there already.
        process = os.fork()
        if not process:
            _run_pytest(tests, copy, home, output.fileno())
        code = _wait(process, seconds)
        output.seek(0)
        lines = output.read().splitlines()
    if code is None:
        return "too long"
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    nothing = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return "passed" if code in (0, nothing) else (failed or lines[-1:] or [f"exit code {code}"])[0][:300]


def _run_pytest(tests: Sequence[str], copy: Path, home: str, output: int) -> None:
    """Runs tests in this process, which ends then."""
    code: int = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        # A fault in reading data must not stay in a cache.
        os.environ.update(OMIGA_TORCHRL_HOME=home, TMPDIR=home, PYTHONPATH=str(copy))
        sys.path[:] = [str(copy), *(one for one in sys.path if Path(one or ".").resolve() != ROOT)]
        for name in [one for one in sys.modules if one.partition(".")[0] == "tests"]:
            del sys.modules[name]
        code = pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests])
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--seconds", type=float, default=900.0, help="of one look")
    parser.add_argument("--looks", type=int, default=2, choices=(1, 2), help="1: mirrored tests only")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=tuple(PARTS))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    records = chosen.out / "records.jsonl"
    known = [json.loads(line) for line in records.read_text().splitlines()] if records.exists() else []
    verdicts: dict[str, str] = {one["key"]: one["verdict"] for one in known}
    mutants = sample_mutants(chosen.count, chosen.seed, chosen.parts)
    if any(name.partition(".")[0] == PACKAGE for name in sys.modules):
        raise RuntimeError(f"{PACKAGE} is imported already: its faults would not be seen.")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copy_project(Path(folder))
        left = mutants
        for look in LOOKS[: chosen.looks]:
            for mutant in left:
                if (key := f"{look} {mutant.name}") not in verdicts:
                    start = time.monotonic()
                    verdicts[key] = judge(mutant, copy, tests_of(mutant, look), chosen.seconds)
                    line = {
                        "key": key,
                        "verdict": verdicts[key],
                        "seconds": round(time.monotonic() - start, 1),
                    }
                    with records.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                sys.stdout.write(f"{key}: {verdicts[key]}\n")
                sys.stdout.flush()
            left = [one for one in left if verdicts[f"{look} {one.name}"] in ("passed", "too long")]
    sys.stdout.write("".join(f"survived: {one.name}\n" for one in left))
    caught = len(mutants) - len(left)
    sys.stdout.write(f"{caught} of {len(mutants)} faults caught ({caught / len(mutants):.1%})\n")


def tests_of(mutant: Mutant, look: str) -> list[str]:
    """The tests that a fault has to pass in a look."""
    return first_tests(mutant.path) if look == "first" else list(PARTS[mutant.path.split("/")[1]])


def copy_project(folder: Path) -> Path:
    """A copy of all that tests need."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
        else:
            shutil.copyfile(source, folder / name)
    return folder


if __name__ == "__main__":
    main()
