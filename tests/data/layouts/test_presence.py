"""Agents that come and go, in files: masks that are stored, dead agents, empty slots, and round trips."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import LAYOUTS, OfflineDataset
from omiga_torchrl.data.layouts import ReadOptions
from omiga_torchrl.data.layouts.presence import find_absent, given_mask, without_choice
from omiga_torchrl.data.layouts.vault_writing import write_vault
from omiga_torchrl.errors import DataError
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_files import make_padded, write_npys
from tests.data.layouts.helpers_hdf5 import read_all, write_h5
from tests.data.layouts.test_omiga_mujoco import make_arrays

pytest.importorskip("tensorstore")
h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))


def sixty_slots(*, flagged):
    """Ten rows of six slots, 24 of them alive: slots 3 to 5 are empty, agent 2 is dead behind row 1 of 5.

    Args:
        flagged: whether empty slots carry the team's end, too.
    """
    rng, rows = np.random.default_rng(0), 10
    alive = np.zeros((rows, 6), bool)
    alive[:, :2] = True
    alive[[0, 1, 5, 6], 2] = True
    terminals = np.zeros((rows, 6), bool)
    terminals[[4, 9]] = [True, True, True, flagged, flagged, flagged]
    terminals[[1, 6], 2] = True
    return alive, {
        "observations": (rng.normal(size=(rows, 6, 3)) * alive[..., None]).astype(np.float32),
        "actions": (rng.uniform(0.1, 0.9, (rows, 6, 2)) * alive[..., None]).astype(np.float32),
        "rewards": np.ones((rows, 6), np.float32),
        "terminals": terminals,
    }


def open_vault(tmp_path, arrays, **options):
    folder = tmp_path / "toy.vlt" / "Good"
    folder.mkdir(parents=True)
    write_vault(folder, [arrays], {})
    return OfflineDataset(folder, reward_scale=None, **options)


@pytest.mark.parametrize("flagged", [True, False])
def test_a_vault_of_sixty_rows_of_which_24_live(tmp_path, flagged):
    alive, arrays = sixty_slots(flagged=flagged)
    data = open_vault(tmp_path, arrays).data
    assert alive.sum() == 24
    np.testing.assert_array_equal(data["agents", "agent_mask"], alive)
    assert data["next", "terminated"].flatten().nonzero().flatten().tolist() == [4, 9]


def test_dead_agents_that_see_or_act_again_were_not_gone(tmp_path):
    alive, arrays = sixty_slots(flagged=True)
    arrays["observations"][4, 2] = 1
    data = open_vault(tmp_path, arrays).data
    alive[2:5, 2] = True
    np.testing.assert_array_equal(data["agents", "agent_mask"], alive)


@pytest.mark.parametrize("name", ["infos.agent_mask", "agent_mask"])
def test_the_mask_of_a_vault_is_read(tmp_path, name):
    alive, arrays = sixty_slots(flagged=False)
    arrays["observations"] += 1  # nothing but the mask says so
    arrays[name] = alive.astype(np.float32)
    data = open_vault(tmp_path / "a", arrays).data
    np.testing.assert_array_equal(data["agents", "agent_mask"], alive)
    arrays[name] = arrays[name] / 2
    with pytest.raises(DataError, match="'agent_mask' holds other values than zeros and ones"):
        open_vault(tmp_path / "b", arrays)


def test_agents_without_a_legal_action_take_no_part(tmp_path):
    alive, arrays = sixty_slots(flagged=False)
    arrays["actions"] = np.ones((10, 6), np.int32)
    arrays["infos.legals"] = np.ones((10, 6, 3), bool) & alive[..., None]
    data = open_vault(tmp_path, arrays).data
    np.testing.assert_array_equal(data["agents", "agent_mask"], alive)
    padded = make_padded([3, 2], [True, False])
    padded["avail_actions"][:] = 1
    padded["avail_actions"][0, 1:, 1] = 0
    data = OfflineDataset(write_npys(tmp_path / "pymarl", padded)).data
    assert (
        data["agents", "agent_mask"].tolist()
        == [[True, True], [True, False], [True, False]] + [[True] * 2] * 2
    )
    padded["avail_actions"][:] = 1
    whole = OfflineDataset(write_npys(tmp_path / "whole", padded)).data
    assert ("agents", "agent_mask") not in whole.keys(True)


def test_stored_masks_of_other_layouts(tmp_path):
    padded = make_padded([3, 2], [True, False])
    padded["avail_actions"][:] = 1
    padded["agent_mask"] = np.ones((2, 4, 2, 1))
    padded["agent_mask"][1, 1, 0] = 0
    data = OfflineDataset(write_npys(tmp_path / "pymarl", padded)).data
    assert data["agents", "agent_mask"].tolist() == [[True, True]] * 4 + [[False, True]]
    arrays = make_arrays([2, 2])
    arrays["agent_mask"] = np.array([[1, 1], [1, 0], [1, 0], [1, 1], [0, 1], [0, 1]])
    episodes = read_all(LAYOUTS["omiga-mujoco"], write_h5(tmp_path / "a.hdf5", arrays))
    assert episodes.agent_mask.tolist() == (arrays["agent_mask"] == 1).tolist()


@pytest.mark.parametrize(
    ("layout", "discrete"), [("vault", False), ("vault", True), ("omiga-mujoco", False), ("pymarl-npy", True)]
)
def test_masks_are_exported_and_read_again(tmp_path, layout, discrete):
    episodes = make_episodes((3, 2, 4), masked=discrete)
    if not discrete and episodes.action.dtype.kind != "f":
        episodes.action = episodes.action[..., None] / 4.0
    rng = np.random.default_rng(0)
    episodes.agent_mask = rng.random(episodes.observation.shape[:2]) > 0.4
    episodes.agent_mask[:, 0] = True
    path = tmp_path / ("a.hdf5" if layout == "omiga-mujoco" else "a")
    LAYOUTS[layout].write(path, [episodes.part(0, 2), episodes.part(2, 3)])
    again = read_all(LAYOUTS[layout], path)
    steps = episodes.is_step()
    np.testing.assert_array_equal(again.agent_mask[again.is_step()], episodes.agent_mask[steps])
    options = ReadOptions()
    assert LAYOUTS[layout].read(path, options).steps == episodes.steps


def test_by_hand():
    ended = np.array([[0, 0], [0, 1], [0, 0], [1, 0], [0, 0], [1, 1]], bool)
    acted = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [1, 0], [1, 1]], bool)
    seen = acted[..., None] * np.ones(3)
    found = find_absent(ended, acted, np.array([0, 4]), np.array([4, 2]), lambda a, b: seen[a:b])
    assert found.tolist() == [[False, False]] * 2 + [[False, True]] * 2 + [[False, False]] * 2
    # Observations that are padding, which is not finite.
    dead = np.where(acted[..., None], 1.0, -np.inf) * np.ones(3)
    again = find_absent(ended, acted, np.array([0, 4]), np.array([4, 2]), lambda a, b: dead[a:b])
    assert again.tolist() == found.tolist()
    nobody = find_absent(
        ended & False, acted & False, np.array([0]), np.array([6]), lambda a, b: seen[a:b] * 0
    )
    assert not nobody.any()
    assert without_choice(np.array([[[0, 1], [0, 0]]])).tolist() == [[False, True]]
    assert given_mask(np.array([[[1], [0]]]), "here").tolist() == [[True, False]]
