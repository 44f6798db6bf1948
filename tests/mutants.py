"""Do the tests notice faults? One-line faults are put into a copy of the library, on which fast tests run.

``make mutants``, or ``python -m tests.mutants --count 100 --seed 1 --out runs/mutants``. All faults are tried
on the tests that mirror their files, then those that passed on all fast tests that run their line (see
``tests.covering``); where these take too long, a fault counts as survived. Results are appended to
``<out>/records.jsonl``; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

from tests.covering import Covering, record
from tests.forked import ROOT, copy_project, run_tests
from tests.mutations import Mutation, find_mutations

PACKAGE = "omiga_torchrl"
PARTS = ("functional", "objectives", "data", "evaluation", "trainers")
LOOKS = ("first", "wider")


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


class Verdicts:
    """What became of faults, kept in a file.

    Args:
        file: where they are; it may be missing.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self._known: dict[str, str] = {one["key"]: one["verdict"] for one in map(json.loads, lines)}

    def get(self, key: str, find: Callable[[], str]) -> str:
        """The verdict of this name, found now if it is not known."""
        if key not in self._known:
            start = time.monotonic()
            verdict = self._known[key] = find()
            line = {"key": key, "verdict": verdict, "seconds": round(time.monotonic() - start, 1)}
            with self.file.open("a") as file:
                file.write(json.dumps(line) + "\n")
        sys.stdout.write(f"{key}: {self._known[key]}\n")
        sys.stdout.flush()
        return self._known[key]


def survivors(mutants: Sequence[Mutant], look: str, out: Path, copy: Path, seconds: float) -> list[Mutant]:
    """The faults that no test of a look notices.

    Args:
        mutants: the faults.
        look: ``"first"``, the tests that mirror a file, or ``"wider"``, all that run a line.
        out: where verdicts and recorded lines are.
        copy: of the project.
        seconds: that the tests of one fault may take.
    """
    covering, verdicts = Covering(out / "covering"), Verdicts(out / "records.jsonl")

    def find(mutant: Mutant) -> str:
        if look == "first":
            return judge(mutant, copy, first_tests(mutant.path), seconds)
        source, line = (ROOT / mutant.path).read_text(), mutant.mutation.line
        # Half of the time: a fault may make tests slow without making them fail.
        tests = covering.tests(mutant.path, source, line, seconds / 2)
        return judge(mutant, copy, tests, seconds) if tests else "passed"

    found = [(one, verdicts.get(f"{look} {one.name}", partial(find, one))) for one in mutants]
    return [one for one, verdict in found if verdict in ("passed", "too long")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/mutants"))
    parser.add_argument("--seconds", type=float, default=600.0, help="of one look at one fault")
    parser.add_argument("--looks", type=int, default=2, choices=(1, 2), help="1: mirrored tests only")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    left = mutants = sample_mutants(chosen.count, chosen.seed, chosen.parts)
    if any(name.partition(".")[0] == PACKAGE for name in sys.modules):
        raise RuntimeError(f"{PACKAGE} is imported already: its faults would not be seen.")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copy_project(Path(folder))
        for look in LOOKS[: chosen.looks]:
            if look == "wider" and left:
                record(copy, chosen.out / "covering")
            left = survivors(left, look, chosen.out, copy, chosen.seconds)
    sys.stdout.write("".join(f"survived: {one.name}\n" for one in left))
    caught = len(mutants) - len(left)
    sys.stdout.write(f"{caught} of {len(mutants)} faults caught ({caught / len(mutants):.1%})\n")


if __name__ == "__main__":
    main()
