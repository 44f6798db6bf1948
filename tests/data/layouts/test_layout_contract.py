"""The contract of layouts, for layouts of the library and for what it must refuse."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import Episodes, Layout, Reading, register_layout, unregister_layout
from omiga_torchrl.data.layouts import omar, omiga_mujoco, padded
from omiga_torchrl.testing import LayoutContract
from tests.data.conftest import make_episodes
from tests.data.layouts.helpers_files import make_omar, make_padded, write_npys
from tests.data.layouts.helpers_hdf5 import write_h5
from tests.data.layouts.test_omiga_mujoco import make_arrays


class TestOmar(LayoutContract):
    name, fields = "omar", ("acs_1", "rews_0", "dones_1")

    def write_files(self, folder, *, without=None):
        arrays = make_omar([3, 1, 2], done=(1,), states="own")
        return write_npys(folder, {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(omar, "BLOCK_BYTES", 1)
        patch.setattr(omar, "block_spans", lambda n, size: iter([(i, i + 1) for i in range(len(n))]))


class TestOmarGroups(TestOmar):
    """Agents of two sizes, as two groups."""

    options = {"groups": "all", "team_reward": "sum", "agent_rewards": True}

    def write_files(self, folder, *, without=None):
        arrays = make_omar([3, 1, 2], done=(1,), states="own")
        for name in ("obs_1", "next_obs_1"):
            arrays[name] = arrays[name][:, :2]
        return write_npys(folder, {name: a for name, a in arrays.items() if name != without})


class TestOmigaMujoco(LayoutContract):
    name, fields = "omiga-mujoco", ("s", "o", "a", "r", "d")

    def write_files(self, folder, *, without=None):
        arrays = make_arrays([3, 1, 2], same=False)
        return write_h5(folder / "a.hdf5", {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(omiga_mujoco, "_BLOCK_BYTES", 1)


class TestPymarlNpy(LayoutContract):
    name, fields = "pymarl-npy", ("obs", "actions", "reward", "terminated", "filled")

    def write_files(self, folder, *, without=None):
        arrays = make_padded([3, 1, 2], [True, False, True])
        arrays["avail_actions"][:] = 1
        return write_npys(folder, {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(padded, "BLOCK_BYTES", 1)


class Careless(Layout):
    """A layout of one `.npz` file that takes every path, and loses the last episode of a read."""

    summary = "one .npz file"

    def matches(self, path):
        return True

    def read(self, path, options):
        path.touch()
        with np.load(path) as file:
            arrays = dict(file)
        return Reading([Episodes(**arrays).part(0, 1)])


@pytest.fixture
def careless(tmp_path):
    class Case(LayoutContract):
        name, fields = "careless", ("reward",)

        def write_files(self, folder, *, without=None):
            arrays = make_episodes().arrays()
            arrays.pop(without, None)
            np.savez(folder / "a.npz", **arrays)
            return folder / "a.npz"

    register_layout("careless")(Careless)
    yield Case()
    unregister_layout("careless")


def test_a_careless_layout_does_not_pass(careless, tmp_path):
    (tmp_path / "data").mkdir()
    path = careless.write_files(tmp_path / "data")
    with pytest.raises(AssertionError, match="empty"):
        careless.test_foreign_files_are_not_detected(tmp_path)
    with pytest.raises(AssertionError):
        careless.test_episodes_have_the_shapes_and_dtypes_of_a_team(path)
    with pytest.raises(AssertionError):
        careless.test_reading_leaves_the_source_alone(path)
    with pytest.raises(TypeError):
        careless.test_a_missing_file_or_field_is_named(tmp_path)
