"""`recipes/record_dataset.py` from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parents[2] / "recipes" / "record_dataset.py"


def run(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(RECIPE), *overrides], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_trains_and_records(tmp_path):
    done = run(
        tmp_path,
        *("tier=expert", "transitions=20", "train_behaviour=true", "total_frames=40", "eval_episodes=2"),
        *("+ppo.num_envs=4", "+ppo.steps=10", "+ppo.hidden=[8]", "+task_kwargs.max_steps=5", "out=data"),
    )
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert card["transitions"] == 20 and card["task_kwargs"] == {"max_steps": 5}
    assert len(list((tmp_path / "runs" / "behaviour" / "vmas" / "navigation").glob("*.pt"))) == 2


def test_unknown_task_is_one_clear_error(tmp_path):
    done = run(tmp_path, "task=vmas/navigaton")
    assert done.returncode != 0 and "did you mean 'vmas/navigation'" in done.stderr
