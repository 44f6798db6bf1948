"""The library with its state under another, nested key: nothing has the old name built in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from omiga_torchrl import keys

keys.STATE = ("global", "state")  # before anything else is imported

import numpy as np
import torch
from omiga_torchrl.data import (
    OfflineDataset, check_dataset, check_dataset_fits, dataset_statistics, episodes_to_tensordict,
    record_episodes, write_recording,
)
from omiga_torchrl.envs import make_env
from omiga_torchrl.specs import TeamSpec
from tests.data.conftest import make_card, make_episodes

episodes = make_episodes(stored_state={stored})
write_recording("recording", episodes, make_card(episodes))
dataset = OfflineDataset("recording", batch_size=4, reward_scale=None)
check_dataset(dataset)
data = dataset.data
wanted = episodes_to_tensordict(episodes)
assert set(data.keys(True, True)) - {{"is_init"}} == set(wanted.keys(True, True)), data
for key in (keys.STATE, ("next", *keys.STATE)):
    assert torch.equal(data[key], wanted[key]), key
assert "state" not in data.keys() and data["global"].batch_size == data.batch_size
again = list(dataset.blocks())
state = np.concatenate([block.state for block in again]) if {stored} else None
assert state is None or np.array_equal(state, episodes.state)
if {stored}:
    assert dataset.card.state_mean and dataset.sample()[keys.STATE].shape == (4, 4)
scaled = OfflineDataset("recording", normalise_observations=True)
moments = scaled.normalisation
mean, std = torch.tensor(moments.state_mean), torch.tensor(moments.state_std)
torch.testing.assert_close(scaled.data[keys.STATE], (data[keys.STATE] - mean) / std)
dataset_statistics(dataset)

bundled = OfflineDataset("vmas/navigation/mixed", normalise_observations=True)
env = make_env("vmas/navigation", num_envs=2, seed=0)
assert env.reset()[keys.STATE].shape == (2, bundled.spec.state_size)
check_dataset_fits(OfflineDataset("vmas/navigation/mixed"), env)
assert bundled.normalisation.apply_to(env).reset()[keys.STATE].shape == (2, bundled.spec.state_size)
played = record_episodes(None, make_env("tabular/{game}", num_envs=2, seed=0), episodes=2)
assert played.state is not None
assert TeamSpec.from_batch(TeamSpec(2, 3, 1, 4).fake_batch(5)).state_size == 4
"""


@pytest.mark.parametrize("stored", [True, False])
def test_the_state_can_have_another_name(tmp_path: Path, stored: bool) -> None:
    root = Path(__file__).parents[2]
    script = SCRIPT.format(stored=stored, game="climbing")
    env = {**os.environ, "OMIGA_TORCHRL_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
