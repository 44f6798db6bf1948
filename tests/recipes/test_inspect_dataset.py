"""`recipes/inspect_dataset.py` from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "inspect_dataset.py"

pytest.importorskip("hydra")
pytest.importorskip("matplotlib")


def run(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(RECIPE), *overrides], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_prints_the_table_and_writes_the_report(tmp_path):
    done = run(tmp_path, "dataset=vmas/navigation/mixed", "best_return=4", "chunk=7000", "root=cache")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vmas/navigation/mixed$", done.stdout, re.M)
    assert re.search(r"^joint SACo +1\.000 ", done.stdout, re.M)
    assert re.search(r"^return, mean \+- std +1\.041 \+- 1\.510 ", done.stdout, re.M)
    out = tmp_path / "runs" / "inspect" / "vmas" / "navigation" / "mixed"
    assert sorted(path.name for path in out.iterdir()) == [f"statistics.{s}" for s in ("json", "md", "png")]
    found = json.loads((out / "statistics.json").read_text())
    assert (found["transitions"], found["best_return"]) == (30261, 4.0)
    assert found["tq"] == pytest.approx((1.04056 + 0.36245) / (4 + 0.36245), abs=1e-5)
    # nothing but what was asked for is left in the folder
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "cache"}


def test_unknown_dataset_is_one_clear_error(tmp_path):
    done = run(tmp_path, "dataset=vmas/navigation/mixd")
    assert done.returncode != 0 and "did you mean 'vmas/navigation/mixed'" in done.stderr
    assert not any(tmp_path.iterdir())
