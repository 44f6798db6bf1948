"""Tables over cells: hand-computed numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omiga_torchrl.benchmark import load_records, write_record
from omiga_torchrl.benchmark.aggregate_tables import by_dataset, seed_table
from omiga_torchrl.benchmark.scores import Scores
from tests.benchmark.fake_records import fake_record


def write(folder: Path, algorithm: str, cell: str, returns: list[float], **changed: Any) -> None:
    """One run a return, the same in every episode; random actions have -1, the best behaviour 1."""
    for seed, value in enumerate(returns):
        kinds = (("training", 100, value), ("final", 100, value), ("best", 80, value + 0.5))
        evaluations = [
            {"label": label, "step": step, "returns": [one, one], "lengths": [20]}
            for label, step, one in kinds
        ]
        write_record(folder, fake_record(algorithm, cell, seed, evaluations=evaluations, **changed))


def test_kinds_of_data_are_means_over_their_cells(tmp_path: Path) -> None:
    """(0 + 0.5) / 2 of the first cell and 1 of the second: every cell counts the same, not every run."""
    write(tmp_path, "bc", "vmas/a/medium", [-1.0, 0.0])
    write(tmp_path, "bc", "vmas/b/medium", [1.0])
    write(tmp_path, "bc", "vmas/a/expert", [2.0])
    write(tmp_path, "iql", "vmas/a/medium", [1.0])  # not in all cells
    scores = Scores.of(load_records(tmp_path).records)
    table = by_dataset(scores)
    assert table.columns == ["", "cells", "bc"]
    assert table.rows == [["expert", "1", "1.50"], ["medium", "2", "0.62"]]
    assert by_dataset(scores, "best").rows == [["expert", "1", "1.75"], ["medium", "2", "0.88"]]


def test_seeds_are_listed_with_what_is_wrong_with_their_values(tmp_path: Path) -> None:
    values = {**fake_record("omiga")["values"], "values": [0.0, 8.0]}
    write(
        tmp_path, "omiga", "vmas/a/medium", [3.0, -1.0], values={**values, "bound": 7.0, "lower_bound": 0.0}
    )
    write(tmp_path, "iql", "vmas/b/medium", [0.5], values={**values, "bound": 9.0, "lower_bound": 8.5})
    write(tmp_path, "bc", "vmas/b/medium", [1.0], values=None)
    table = seed_table(Scores.of(load_records(tmp_path).records))
    assert table.columns == ["", "bc", "iql", "omiga"]
    assert table.rows == [
        ["vmas/a/medium", "", "", "3.000⇑, -1.000⇑"],
        ["vmas/b/medium", "1.000", "0.500⇓", ""],
    ]
