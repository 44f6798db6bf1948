"""Do the tests notice faults? One-line faults are put into a copy of the library, on which fast tests run.

``make mutants``, or ``python -m tests.mutants --count 100 --seed 1 --out runs/mutants``. Every fault is tried
on the tests that mirror its file, and if these pass on the wider ones of its part. Results are appended to
``<out>/records.jsonl``; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

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


def judge(mutant: Mutant, copy: Path, seconds: float) -> dict[str, object]:
    """What became of a fault: which look caught it, or that it survived.

    Args:
        mutant: the fault.
        copy: a copy of the project that is like the original; it is so again afterwards.
        seconds: time of a look; one that takes longer is caught, as a fault that never ends is noticed.
    """
    file, part = copy / mutant.path, mutant.path.split("/")[1]
    original, start = file.read_text(), time.monotonic()
    file.write_text(mutant.source())
    try:
        look, verdict = "first", run_tests(first_tests(mutant.path), copy, seconds)
        if verdict == "passed":
            look, verdict = "wider", run_tests(PARTS[part], copy, seconds)
    finally:
        file.write_text(original)
    caught = verdict != "passed"
    return {
        "mutant": mutant.name,
        "caught": caught,
        "look": look if caught else None,
        "verdict": verdict,
        "seconds": round(time.monotonic() - start, 1),
    }


def run_tests(tests: Sequence[str], copy: Path, seconds: float) -> str:
    """The first failure of a run of tests in a copy of the project, ``"passed"``, or ``"too long"``."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryDirectory() as home:  # a fault in reading data must not stay in a cache
        env = {**os.environ, "PYTHONPATH": str(copy), "OMIGA_TORCHRL_HOME": home, "TMPDIR": home}
        with tempfile.TemporaryFile("w+") as output:
            try:
                code = subprocess.run(
                    command, cwd=copy, env=env, stdout=output, stderr=output, timeout=seconds
                ).returncode
            except subprocess.TimeoutExpired:
                return "too long"
            output.seek(0)
            lines = output.read().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "passed" if code == 0 else (failed or lines[-1:] or [f"exit code {code}"])[0][:300]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--seconds", type=float, default=900.0, help="of one look")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=tuple(PARTS))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    records = chosen.out / "records.jsonl"
    known = [json.loads(line) for line in records.read_text().splitlines()] if records.exists() else []
    found = {one["mutant"]: one for one in known}
    mutants = sample_mutants(chosen.count, chosen.seed, chosen.parts)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copy_project(Path(folder))
        for mutant in mutants:
            if mutant.name not in found:
                found[mutant.name] = judge(mutant, copy, chosen.seconds)
                with records.open("a") as file:
                    file.write(json.dumps(found[mutant.name]) + "\n")
            sys.stdout.write(f"{found[mutant.name]['look'] or 'SURVIVED'}: {mutant.name}\n")
            sys.stdout.flush()
    survivors = [one.name for one in mutants if not found[one.name]["caught"]]
    share = 1 - len(survivors) / len(mutants)
    sys.stdout.write("".join(f"survived: {name}\n" for name in survivors))
    sys.stdout.write(f"{len(mutants) - len(survivors)} of {len(mutants)} faults caught ({share:.1%})\n")


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
