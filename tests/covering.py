"""Which fast tests run a line of the library, and how long each takes: recorded once, with coverage.py.

``tests.mutants`` asks it for the tests that could notice a fault. ``python -m tests.covering --out FOLDER``
records what is missing in the folder; a part of the tests that is there is not run again.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path

import coverage
import pytest

from tests.forked import ROOT, copy_project, run_tests


class Recorder:
    """A plugin of pytest that keeps the lines of every test, and the seconds of those that pass.

    Args:
        file: of coverage's data; the seconds are beside it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.coverage = coverage.Coverage(data_file=file, source=["omiga_torchrl"], config_file=False)
        self.coverage.set_option("run:relative_files", True)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.coverage.switch_context(item.nodeid)
        start = time.monotonic()
        outcome = yield
        self.seconds[item.nodeid] = round(time.monotonic() - start, 3)
        self.coverage.switch_context("")
        return outcome

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.coverage.save()
        # What fails or skips itself without a fault tells nothing about one.
        passed = {test: seconds for test, seconds in self.seconds.items() if test not in self.failed}
        self.file.with_suffix(".json").write_text(json.dumps(passed))


class Covering:
    """The recorded lines of all tests.

    Args:
        folder: where :func:`record` wrote them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, dict[int, set[str]]] = {}

    @cached_property
    def seconds(self) -> dict[str, float]:
        """How long every test takes."""
        files = sorted(self.folder.glob("*.json"))
        return dict(chain.from_iterable(json.loads(file.read_text()).items() for file in files))

    def lines(self, path: str) -> dict[int, set[str]]:
        """The tests of every line of a file of the library, those that only import it left out."""
        if path not in self._files:
            found = self._files[path] = {}
            for file in sorted(self.folder.glob("*.sqlite")):
                data = coverage.CoverageData(str(file))
                data.read()
                for line, tests in data.contexts_by_lineno(path).items():
                    found.setdefault(line, set()).update(set(tests) - {""})
        return self._files[path]

    def tests(self, path: str, source: str, line: int, seconds: float) -> list[str]:
        """The tests that run a statement: of every test function the shortest, then the next ones.

        Where no test runs it, as it is at the top of its module, all that run anything of the file.

        Args:
            path: of the file, from the root of the project.
            source: of the file when the tests were recorded.
            line: in the statement, from 1.
            seconds: that they may take together; the first one is there in any case.
        """
        first, last = statement_at(source, line)
        lines = self.lines(path)
        found = set().union(*(lines.get(one, ()) for one in range(first, last + 1)))
        return self._shortest(found or set().union(*lines.values()), seconds)

    def _shortest(self, tests: set[str], seconds: float) -> list[str]:
        functions: dict[str, list[str]] = {}
        for test in sorted(tests & self.seconds.keys(), key=lambda one: (self.seconds[one], one)):
            functions.setdefault(test.partition("[")[0], []).append(test)
        chosen: list[str] = []
        for test in chain.from_iterable(zip_longest(*functions.values())):
            if test is not None and (not chosen or self.seconds[test] <= seconds):
                chosen.append(test)
                seconds -= self.seconds[test]
        return chosen


def statement_at(source: str, line: int) -> tuple[int, int]:
    """First and last line of the shortest statement around a line.

    Examples:
        >>> statement_at("a = (\\n1\\n)\\nb = 2", 2)
        (1, 3)
    """
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return min(spans, key=lambda span: span[1] - span[0], default=(line, line))


def parts_of_tests() -> dict[str, list[str]]:
    """All tests in parts that run by themselves, and the examples of the library."""
    folders = sorted(
        {file.relative_to(ROOT / "tests").parts[0] for file in (ROOT / "tests").rglob("*/test_*.py")}
    )
    single = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").glob("test_*.py"))
    return {**{name: [f"tests/{name}"] for name in folders}, "single": single, "examples": ["omiga_torchrl"]}


def record(copy: Path, folder: Path, parts: Sequence[str] = (), seconds: float = 3600.0) -> None:
    """Runs the parts of the tests that are not in the folder yet.

    Args:
        copy: of the project.
        folder: where the results are.
        parts: names of :func:`parts_of_tests`; all if there is none.
        seconds: that a part may take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, tests in parts_of_tests().items():
        if parts and name not in parts:
            continue
        file = folder.resolve() / f"{name}.sqlite"
        if file.with_suffix(".json").exists():
            continue
        start = time.monotonic()
        verdict = run_tests(tests, copy, seconds, plugin=lambda file=file: Recorder(file))
        sys.stdout.write(f"lines of the tests in {name}: {verdict}, {time.monotonic() - start:.0f} s\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/mutants/covering"))
    parser.add_argument("--parts", nargs="*", choices=parts_of_tests(), default=())
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="covering-") as folder:
        record(copy_project(Path(folder)), chosen.out, chosen.parts)


if __name__ == "__main__":
    main()
