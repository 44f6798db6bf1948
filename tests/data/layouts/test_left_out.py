"""Files that do not hold what followed a time-out: the rewards of those steps count in the returns."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from omiga_torchrl.data import OfflineDataset

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))


def test_d4rl_with_all_reward_in_the_timed_out_step(tmp_path, caplog):
    rng = np.random.default_rng(0)
    ends = np.arange(200) % 20 == 19
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["observations"], file["actions"] = rng.normal(size=(200, 2)), rng.uniform(-1, 1, (200, 1))
        file["timeouts"], file["terminals"], file["rewards"] = ends, np.zeros(200, bool), 10.0 * ends
    with caplog.at_level(logging.WARNING):
        card = OfflineDataset(tmp_path / "x.hdf5").card
    assert card.behaviour_return == {"mean": 10.0, "std": 0.0}
    assert (card.transitions, card.left_out_steps) == (190, 10)
    assert "10 last steps of truncated episodes are left out" in caplog.text
