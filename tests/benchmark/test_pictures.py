"""Pictures of a report: their labels can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omiga_torchrl.benchmark import load_records, write_record
from omiga_torchrl.benchmark.pictures import draw_aggregate, panel
from omiga_torchrl.benchmark.scores import Scores
from omiga_torchrl.benchmark.statistics import STATISTICS
from tests.benchmark.fake_records import CELLS, fake_record

pytest.importorskip("matplotlib")
DIGIT = 6  # points: what has to be free between two numbers


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize(("level", "width"), [(0.991, 0.028), (0.98, 0.05), (0.5, 0.3), (-7.0, 90.0)])
def test_numbers_of_an_axis_do_not_overlap(
    tmp_path: Path, statistic: str, level: float, width: float
) -> None:
    for cell in CELLS:
        for algorithm, shift in (("bc", 0.0), ("omiga", width)):
            for seed in range(3):
                record = fake_record(algorithm, cell, seed)
                for one in record["evaluations"]:
                    one["returns"] = [level + shift + 0.1 * width * seed]
                write_record(tmp_path, record)
    scores = Scores.of(load_records(tmp_path).records)

    def draw(axes: Any) -> None:
        draw_aggregate(scores, statistic, axes)
        axes.figure.draw_without_rendering()
        low, high = axes.get_xlim()
        shown = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]
        edges = np.array([label.get_window_extent().intervalx for label in shown])
        assert len(shown) >= 2
        assert (edges[1:, 0] > edges[:-1, 1] + DIGIT).all(), [label.get_text() for label in shown]

    panel(draw, height=1.6)
