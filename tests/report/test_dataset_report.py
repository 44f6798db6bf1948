"""The table of a dataset's statistics, and the files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from omiga_torchrl.report.dataset_report import format_statistics, write_dataset_report
from tests.report.small_statistics import small_statistics


def values(**options):
    lines = format_statistics(small_statistics(**options)).splitlines()[2:]
    return {
        name: (value, meaning) for name, value, meaning in (line.strip("| ").split(" | ") for line in lines)
    }


def test_one_value_a_line() -> None:
    found = values(random_return=2.0, best_return=60.0)
    assert {name: value for name, (value, _) in found.items() if "action" not in name} == {
        "agents": "2",
        "transitions": "300",
        "episodes": "30",
        "duplicate episodes": "0",
        "terminated": "0.0 %",
        "truncated": "100.0 %",
        "unfinished": "0.0 %",
        "cut": "0.0 %",
        "rows that are no steps": "0",
        "return, mean +- std": "11.633 +- 8.796",
        "return, range": "[10, 59]",
        "length, mean +- std": "10 +- 0",
        "length, range": "[10, 10]",
        "TQ": "0.166",
        "joint SACo": "1.000",
        "average OACo": "1.000",
        "reward, mean +- std": "1.163 +- 2.824",
        "reward, range": "[1, 50]",
        "observation range": found["observation range"][0],
        "constant observations": "0",
    }
    assert found["TQ"][1] == "0: random actions (2), 1: best policy (60)"
    assert found["joint SACo"][1].startswith("300 unique (state, joint action) pairs")
    low, high = map(float, found["observation range"][0].strip("[]").split(","))
    assert low < -2 and high > 2


def test_actions() -> None:
    found = values(agents=3)
    assert sum(name.startswith("action range, agent") for name in found) == 3
    assert 25 < float(found["actions beyond their bounds"][0].removesuffix(" %")) < 40
    discrete = values(discrete=True)
    assert discrete["action range, agent 1"] == ("[0, 2]", "index of the action")
    assert "actions beyond their bounds" not in discrete


@pytest.mark.parametrize(
    ("references", "meaning"),
    [
        ({}, "not known: needs the returns"),
        ({"random_return": 3.0, "best_return": 3.0}, "not defined: best policy (3)"),
    ],
)
def test_tq_says_why_it_is_missing(references, meaning) -> None:
    value, found = values(**references)["TQ"]
    assert value == "-" and found.startswith(meaning)


def test_styles() -> None:
    s = small_statistics()
    markdown = format_statistics(s).splitlines()
    assert {line.count("|") for line in markdown} == {4} and markdown[1] == "| --- | ---: | --- |"
    terminal = format_statistics(s, "terminal").splitlines()
    # numbers end in one column, meanings start in one
    column = terminal[0].index("meaning")
    assert all(line[column - 3] != " " and line[column - 2 : column] == "  " for line in terminal[2:])
    assert len(terminal) == len(markdown) and max(map(len, terminal)) < 120
    with pytest.raises(ValueError, match="did you mean 'terminal'"):
        format_statistics(s, "terminl")  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    s = small_statistics()
    paths = write_dataset_report(s, tmp_path / "out", "toy/mixed")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)
    assert json.loads(paths.json.read_text())["episodes"] == 30
    text = paths.markdown.read_text()
    assert (
        text.startswith("# toy/mixed\n\n| statistic |")
        and "Schweighofer" in text
        and "statistics.png" in text
    )


def test_without_matplotlib_the_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"omiga-torchrl\[plot\]"):
        write_dataset_report(small_statistics(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["statistics.json", "statistics.md"]
