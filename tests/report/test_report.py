from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omiga_torchrl.errors import DataError
from omiga_torchrl.report import (
    RunInfo,
    RunWriter,
    aggregate_scores,
    format_table,
    load_runs,
    plot_scores,
    table_rows,
    write_report,
)
from omiga_torchrl.report.plots import training_curves
from tests.report.fake_runs import FINAL, REFERENCES, write_runs

ROOT = Path(__file__).parents[2]


def test_rows(tmp_path: Path) -> None:
    write_runs(tmp_path)
    omiga, bc, behaviour, best, rand = table_rows(load_runs(tmp_path))
    assert (omiga.algorithm, bc.algorithm) == ("omiga", "bc")
    assert omiga.seeds == 3 and omiga.mean == pytest.approx(2.8) and omiga.iqm == pytest.approx(2.8)
    assert omiga.bootstrap == pytest.approx((2.7, 2.9))
    assert omiga.student == pytest.approx((2.8 - 0.2484, 2.8 + 0.2484), abs=1e-3)
    assert omiga.best is not None and 2.6 < omiga.best < 3.1
    assert (behaviour.mean, best.mean, rand.mean) == (1.0, 2.85, -0.45)
    assert "behaviour" in behaviour.algorithm and behaviour.seeds is None


def test_final_and_best_are_kept_apart(tmp_path: Path) -> None:
    for seed, (peak, end) in enumerate([(5.0, 1.0), (3.0, 2.0)]):
        writer = RunWriter(tmp_path, RunInfo("a", "t", "d", seed))
        writer.evaluation(1, "training", returns=[peak])
        writer.evaluation(2, "training", returns=[end])
        writer.evaluation(2, "final", returns=[end, end])
    (row,) = table_rows(load_runs(tmp_path))
    assert (row.mean, row.best) == (1.5, 4.0)


def test_unfinished_and_single_runs(tmp_path: Path) -> None:
    RunWriter(tmp_path, RunInfo("a", "t", "d", 0)).evaluation(1, "training", returns=[1.0])
    RunWriter(tmp_path, RunInfo("b", "t", "d", 0)).evaluation(1, "final", returns=[2.0])
    b, a = table_rows(load_runs(tmp_path))
    assert (b.algorithm, b.seeds, b.mean, b.bootstrap) == ("b", 1, 2.0, None)
    assert (a.seeds, a.mean, a.best) == (0, None, 1.0)
    write_report(tmp_path, tmp_path / "out")


def test_references_must_agree(tmp_path: Path) -> None:
    for seed in range(2):
        RunWriter(tmp_path, RunInfo("a", "t", "d", seed, behaviour_return=float(seed)))
    with pytest.raises(DataError, match=r"behaviour_return \[0\.0, 1\.0\]; expected one value"):
        table_rows(load_runs(tmp_path))


def test_formats(tmp_path: Path) -> None:
    write_runs(tmp_path)
    rows = table_rows(load_runs(tmp_path))
    lines = format_table(rows).splitlines()
    assert len({line.count("|") for line in lines}) == 1 and "[2.700, 2.900]" in lines[2]
    terminal = format_table(rows, "terminal").splitlines()
    assert terminal[0].startswith("task") and len(terminal) == 7
    with pytest.raises(ValueError, match="did you mean 'markdown'"):
        format_table(rows, "markdwn")


def test_write_report(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", ("vmas/navigation", "vmas/balance"))
    paths = write_report(tmp_path / "runs", tmp_path / "out")
    text = paths.markdown.read_text()
    assert "| vmas/balance | mixed | omiga | 3 | 2.800 |" in text and "report.png" in text and "torch" in text
    assert "## Over all cells" in text and "| omiga | 2 | 6 |" in text and "scores.png" in text
    for picture in (paths.picture, paths.scores):
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 30_000


def test_aggregates_are_scaled_and_stratified(tmp_path: Path) -> None:
    write_runs(tmp_path, ("a", "b"))
    scale = REFERENCES["best_checkpoint_return"] - REFERENCES["random_return"]
    omiga, bc = aggregate_scores(load_runs(tmp_path))
    assert (omiga.algorithm, bc.algorithm, omiga.cells, omiga.runs) == ("omiga", "bc", 2, 6)
    # Runs end at level - 0.1, level and level + 0.1 in both cells.
    assert omiga.mean == pytest.approx((FINAL["omiga"] - REFERENCES["random_return"]) / scale)
    assert bc.iqm == pytest.approx((FINAL["bc"] - REFERENCES["random_return"]) / scale)
    for value, (low, high) in ((bc.mean, bc.mean_interval), (bc.iqm, bc.iqm_interval)):
        assert value - 0.1 / scale < low < value < high < value + 0.1 / scale


def test_aggregates_need_two_cells_with_a_scale_and_all_of_them(tmp_path: Path) -> None:
    write_runs(tmp_path / "one", ("a",))
    assert aggregate_scores(load_runs(tmp_path / "one")) == []
    write_runs(tmp_path / "two", ("a", "b"))
    elsewhere = RunWriter(tmp_path / "two", RunInfo("cql", "a", "mixed", 0, **REFERENCES))
    elsewhere.evaluation(1, "final", returns=[9.0])
    unscaled = RunWriter(tmp_path / "two", RunInfo("bc", "c", "mixed", 0, behaviour_return=1.0))
    unscaled.evaluation(1, "final", returns=[9.0])
    assert [row.algorithm for row in aggregate_scores(load_runs(tmp_path / "two"))] == ["omiga", "bc"]


@pytest.mark.parametrize("cells", [1, 3, 4, 5])
def test_no_panel_is_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: seen.append(self))
    write_runs(tmp_path, tuple("abcde"[:cells]), seeds=2)
    plot_scores(load_runs(tmp_path), tmp_path / "scores.png")
    panels = [panel for panel in seen[0].axes if panel.get_visible()]
    assert len(panels) == cells
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["bc", "omiga"]


def test_curves_use_shared_steps(tmp_path: Path) -> None:
    for seed, steps in enumerate([(0, 10, 20), (0, 20)]):
        writer = RunWriter(tmp_path, RunInfo("a", "t", "d", seed))
        for step in steps:
            writer.evaluation(step, "training", returns=[float(step + seed)])
    RunWriter(tmp_path, RunInfo("a", "t", "d", 2))
    steps, scores = training_curves(load_runs(tmp_path))
    assert steps.tolist() == [0, 20] and np.array_equal(scores, [[0, 20], [1, 21]])


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_runs(tmp_path / "runs", seeds=1)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"omiga-torchrl\[plot\]"):
        write_report(tmp_path / "runs", tmp_path / "out")
    assert (tmp_path / "out" / "report.md").exists()


def test_recipe(tmp_path: Path) -> None:
    pytest.importorskip("hydra")
    write_runs(tmp_path / "runs", seeds=1)
    command = [sys.executable, str(ROOT / "recipes" / "report.py"), "runs=runs", "out=out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "behaviour (dataset mean)" in done.stdout and "report.png" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "runs"]
