"""Own data train, are exported and read again."""

from __future__ import annotations

import pytest
import torch

from omiga_torchrl.data import LAYOUTS, OfflineDataset
from tests.data.training import trained_policy

from .helpers import KINDS, as_list, make_episodes

N_ACTIONS = {"continuous": None, "single": None, "discrete": 2, "groups": {"tower": 5}}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_training(kind, masked):
    given = as_list(kind, make_episodes(kind, masked))
    dataset = OfflineDataset.from_arrays(**given, n_actions=N_ACTIONS[kind], batch_size=4)
    trained_policy(dataset)


@pytest.mark.parametrize("layout", ["vault", "omiga-mujoco"])
def test_export(layout, tmp_path):
    given = as_list("continuous", make_episodes("continuous", False))
    dataset = OfflineDataset.from_arrays(**given, reward_scale=None)
    path = tmp_path / ("data.hdf5" if layout == "omiga-mujoco" else "data.vlt")
    LAYOUTS[layout].write(path, dataset.blocks())
    again = OfflineDataset(path, layout=layout, reward_scale=None)
    assert again.card.behaviour_return == pytest.approx(dataset.card.behaviour_return)
    assert torch.equal(again.data["next", "reward"], dataset.data["next", "reward"])
    assert torch.equal(again.data["next", "done"], dataset.data["next", "done"])


def test_slices():
    given = as_list("continuous", make_episodes("continuous", True))
    dataset = OfflineDataset.from_arrays(**given, batch_size=4, slice_len=2)
    assert dataset.sample().batch_size == (2, 2) and dataset.split(0.5, 0.5)[0].slice_len == 2
