"""What opening a dataset imports, and the names that are imported later."""

from __future__ import annotations

import subprocess
import sys

import pytest

import omiga_torchrl.data
from omiga_torchrl import behaviors

FORMER = (
    *("BehaviourCheckpoint", "PPOSettings", "Tier", "as_team_policy", "load_behaviour", "measure_behaviour"),
    *("read_behaviour", "record_tier", "save_behaviour", "select_checkpoints", "train_behaviour"),
)
ABOVE = ("omiga_torchrl.behaviors", "omiga_torchrl.envs", "omiga_torchrl.modules", "torchrl.objectives.ppo")


def test_opening_a_dataset_imports_no_trainer_and_no_environment() -> None:
    script = (
        "import sys; from omiga_torchrl.data import OfflineDataset, check_dataset;"
        "check_dataset(OfflineDataset('vmas/navigation/mixed'));"
        f"print([name for name in {ABOVE!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FORMER)
def test_names_of_the_behavior_policies_are_found_where_they_were(name: str) -> None:
    assert getattr(omiga_torchrl.data, name) is getattr(behaviors, name)
    assert name in omiga_torchrl.data.__all__


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_behavoir'"):
        omiga_torchrl.data.load_behavoir  # noqa: B018
