"""`recipes/record_dataset.py` from the command line, and what its fields do."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "record_dataset.py"


@pytest.fixture(scope="module")
def recipe():
    return runpy.run_path(str(RECIPE))


def small(recipe, folder, **changes):
    options = {"task_kwargs": {"max_steps": 5}, "num_envs": 4, "transitions": 20, "progress": False}
    return recipe["RecordDataset"](**{**options, "tier": "expert", "out": str(folder), **changes})


def run(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(RECIPE), *overrides], cwd=folder, capture_output=True, text=True, timeout=240
    )


def test_trains_and_records(tmp_path):
    done = run(
        tmp_path,
        *("tier=expert", "transitions=20", "train_behaviour=true", "total_frames=40", "eval_episodes=2"),
        *("+ppo.num_envs=4", "+ppo.steps=10", "+ppo.hidden=[8]", "+task_kwargs.max_steps=5", "out=data"),
    )
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout and "recording vmas/navigation/expert: 100%" in done.stderr
    card = json.loads((tmp_path / "data" / "card.json").read_text())
    assert card["transitions"] == 20 and card["task_kwargs"] == {"max_steps": 5}
    assert len(list((tmp_path / "runs" / "behaviour" / "vmas" / "navigation").glob("*.pt"))) == 2


def test_existing_datasets(recipe, tmp_path):
    first = recipe["run"](small(recipe, tmp_path / "data"))
    with pytest.raises(ValueError, match="holds a dataset; expected a new folder"):
        recipe["run"](small(recipe, tmp_path / "data", seed=1))
    assert recipe["run"](small(recipe, tmp_path / "data", seed=1, existing="keep")) == first
    other = recipe["run"](small(recipe, tmp_path / "data", seed=1, existing="overwrite"))
    assert other.data_sha256 != first.data_sha256
    with pytest.raises(ValueError, match="unknown value of existing 'kept'; did you mean 'keep'"):
        recipe["run"](small(recipe, tmp_path / "data", existing="kept"))


def test_what_decides_the_data(recipe, tmp_path):
    shas = [
        recipe["run"](small(recipe, tmp_path / str(index), transitions=40, **changes)).data_sha256
        for index, changes in enumerate([{}, {"shard_transitions": 10}, {"tier": "random"}])
    ]
    assert len(set(shas)) == 3
    with pytest.raises(ValueError, match="workers=2 with launcher='local'"):
        recipe["run"](small(recipe, tmp_path / "more", workers=2))


def test_unknown_task_is_one_clear_error(recipe):
    with pytest.raises(ValueError, match="did you mean 'vmas/navigation'"):
        recipe["run"](recipe["RecordDataset"](task="vmas/navigaton"))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"tier": "random", "checkpoints": "there"},
            "plays no trained policy, got checkpoints=there",
        ),
        ({"tier": "random", "train_behaviour": True}, "and train_behaviour=True. Leave them out"),
        ({"checkpoints": "nowhere"}, r"checkpoints=nowhere has no files \*.pt"),
    ],
)
def test_policies_that_would_not_be_played_are_refused(recipe, tmp_path, changes, match):
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        recipe["run"](small(recipe, tmp_path / "data", **changes))
    assert not any(tmp_path.iterdir())
