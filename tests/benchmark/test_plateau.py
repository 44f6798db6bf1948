"""Whether values still move at the end of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.benchmark.plateau import final_pace, final_sample_size, learning_progress, read_plateau
from omiga_torchrl.errors import DataError

STEPS = np.arange(100, 10_001, 100)


def log(folder: Path, values: np.ndarray, name: str = "global_qvalue") -> Path:
    file = folder / "log" / "scalars" / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{step},{value}\n" for step, value in zip(STEPS, values, strict=True)))
    return file


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        (0.03 * STEPS, "rising"),
        (-0.03 * STEPS, "falling"),
        (1 - np.exp(-STEPS / 1_000), "settled"),
        (np.zeros(100), "settled"),
        (np.sqrt(STEPS), "rising"),  # pace 0.6
        (np.log(STEPS), "settled"),  # pace 0.3
    ],
)
def test_trends_of_a_constant_rate(tmp_path: Path, values: np.ndarray, trend: str) -> None:
    log(tmp_path, values)
    found = read_plateau(tmp_path, 10_000, None)
    assert found is not None and (found.trend, found.name) == (trend, "global_qvalue")
    assert len(found.steps) == len(found.values) <= 60


def test_a_cosine_hides_nothing(tmp_path: Path) -> None:
    # Values that move with every unit of learning stand still at the end of a cosine all the same.
    learned = learning_progress(STEPS, 10_000, "cosine")
    assert learned[-1] == pytest.approx(1) and learned[49] == pytest.approx(0.5 + 1 / np.pi)
    log(tmp_path, 100 * learned)
    by_rate, by_step = (read_plateau(tmp_path, 10_000, schedule) for schedule in ("cosine", None))
    assert by_rate is not None and by_rate.trend == "rising" and by_rate.pace == pytest.approx(1, abs=0.05)
    assert by_step is not None and by_step.trend == "settled"


def test_the_pace_of_two_parts_by_hand() -> None:
    # Ten parts at 0, 0, 0, 0, 0, 0, 0, 6, 8, 9: (9 - 8) / (9 / 9).
    levels = [0, 0, 0, 0, 0, 0, 0, 6, 8, 9]
    progress = np.linspace(0.0005, 0.9995, 1_000)
    pace, trend = final_pace(progress, np.repeat(levels, 100))
    assert pace == pytest.approx(1, abs=0.1) and trend == "rising"


def test_runs_without_values_have_none(tmp_path: Path) -> None:
    assert read_plateau(tmp_path, 100, None) is None
    file = log(tmp_path, np.ones(100), "global_value")
    found = read_plateau(tmp_path, 10_000, None)
    assert found is not None and found.name == "global_value"
    file.write_text("1,2\n3")
    with pytest.raises(DataError, match="must have lines of a step and a value"):
        read_plateau(tmp_path, 10_000, None)


def test_bounds_of_values_are_read_where_they_were_logged(tmp_path: Path) -> None:
    log(tmp_path, np.ones(100))
    found = read_plateau(tmp_path, 10_000, None)
    assert found is not None and found.bound is None and found.lower_bound is None
    log(tmp_path, np.full(100, 2.5), "value_bound")
    log(tmp_path, np.full(100, -1.5), "value_lower_bound")
    found = read_plateau(tmp_path, 10_000, None)
    assert found is not None and (found.lower_bound, found.bound) == (-1.5, 2.5)


def test_weights_are_those_of_the_last_tenth(tmp_path: Path) -> None:
    assert final_sample_size(tmp_path, 10_000) is None
    log(tmp_path, np.where(STEPS > 9_000, 0.25, 1.0), "effective_sample_size")
    assert final_sample_size(tmp_path, 10_000) == 0.25
    log(tmp_path, np.where(STEPS > 9_900, np.nan, 1.0), "effective_sample_size")
    assert final_sample_size(tmp_path, 10_000) is None
