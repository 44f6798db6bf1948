"""Which tests are tried on a fault: those that run its statement, quick and different ones first."""

from __future__ import annotations

import json
from pathlib import Path

import coverage
import pytest

from tests.covering import Covering, parts_of_tests

SOURCE = """\
LIMIT = 3


def double(x):
    if x:
        x = (
            x + x
        )
    return x
"""
# Seconds of every test that passes, and the lines that it runs.
TESTS = {
    "a.py::test_one[1]": (0.2, [5, 9]),
    "a.py::test_one[2]": (0.1, [5, 6, 9]),
    "a.py::test_one[3]": (0.3, [5, 6, 7, 9]),
    "a.py::test_two": (5.0, [6, 9]),
    "a.py::test_fails": (None, [6, 7]),
    "": (None, [1, 4]),
}


@pytest.fixture
def covering(tmp_path: Path) -> Covering:
    data = coverage.CoverageData(str(tmp_path / "part.sqlite"))
    for test, (_, lines) in TESTS.items():
        data.set_context(test)
        data.add_lines({"double.py": lines})
    data.write()
    seconds = {test: seconds for test, (seconds, _) in TESTS.items() if seconds is not None}
    (tmp_path / "part.json").write_text(json.dumps(seconds))
    return Covering(tmp_path)


def names(covering: Covering, line: int, seconds: float = 100.0) -> list[str]:
    return [one.removeprefix("a.py::test_") for one in covering.tests("double.py", SOURCE, line, seconds)]


def test_each_function_of_tests_comes_first_with_its_quickest(covering: Covering) -> None:
    assert names(covering, 9) == ["one[2]", "two", "one[1]", "one[3]"]


def test_a_line_stands_for_its_statement(covering: Covering) -> None:
    assert names(covering, 8) == names(covering, 6) == ["one[2]", "two", "one[3]"]


def test_what_is_only_imported_is_tried_on_all_tests_of_the_file(covering: Covering) -> None:
    assert names(covering, 1) == names(covering, 9)
    assert covering.tests("other.py", "x = 1", 1, 100.0) == []


def test_time_is_kept(covering: Covering) -> None:
    assert names(covering, 9, 0.65) == ["one[2]", "one[1]", "one[3]"]
    assert names(covering, 9, 0.0) == ["one[2]"]


def test_every_test_is_in_one_part() -> None:
    parts = parts_of_tests()
    assert "tests/test_covering.py" in parts["single"] and parts["functional"] == ["tests/functional"]
    assert parts["examples"] == ["omiga_torchrl"]
