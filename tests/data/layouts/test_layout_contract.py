"""The contract of layouts, for layouts of the library and for what it must refuse."""

from __future__ import annotations

import numpy as np
import pytest

from omiga_torchrl.data import (
    Episodes,
    Layout,
    Reading,
    register_layout,
    unregister_layout,
    write_recording,
)
from omiga_torchrl.data.layouts import (
    d3rlpy,
    d4rl,
    minari,
    omar,
    omar_files,
    omiga_mujoco,
    omiga_smac,
    padded,
    rllib,
    vault_blocks,
)
from omiga_torchrl.testing import LayoutContract
from tests.data.conftest import make_card, make_episodes
from tests.data.layouts import test_d3rlpy, test_d4rl, test_minari, test_rllib
from tests.data.layouts.helpers_files import make_omar, make_padded, make_smac, write_npys, write_smac
from tests.data.layouts.helpers_hdf5 import write_h5
from tests.data.layouts.helpers_vault import make_experience, write_slowly
from tests.data.layouts.test_omiga_mujoco import make_arrays


class TestOmar(LayoutContract):
    name, fields = "omar", ("acs_1", "rews_0", "dones_1")

    def write_files(self, folder, *, without=None):
        arrays = make_omar([3, 1, 2], done=(1,), states="own")
        return write_npys(folder, {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(omar_files, "BLOCK_BYTES", 1)
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
        patch.setattr(omiga_mujoco, "BLOCK_BYTES", 1)


class TestPymarlNpy(LayoutContract):
    name, fields = "pymarl-npy", ("obs", "actions", "reward", "terminated", "filled")

    def write_files(self, folder, *, without=None):
        arrays = make_padded([3, 1, 2], [True, False, True])
        arrays["avail_actions"][:] = 1
        return write_npys(folder, {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(padded, "BLOCK_BYTES", 1)


class TestPymarlH5(LayoutContract):
    name, fields = "pymarl-h5", ("obs", "actions", "reward", "terminated")

    def write_files(self, folder, *, without=None):
        arrays = make_padded([3, 1, 2], [True, False, True])
        arrays["avail_actions"][:] = 1
        return write_h5(folder / "a.h5", {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(padded, "BLOCK_BYTES", 1)


class TestD4rl(LayoutContract):
    name, fields = "d4rl", ("actions", "rewards", "terminals")

    def write_files(self, folder, *, without=None):
        arrays = test_d4rl.make_arrays([(3, "terminal"), (2, "timeout"), (4, "terminal")], following=False)
        return write_h5(folder / "a.hdf5", {name: a for name, a in arrays.items() if name != without})

    def small_blocks(self, patch):
        patch.setattr(d4rl, "block_spans", lambda n, size: iter([(i, i + 1) for i in range(len(n))]))


class TestD3rlpy(LayoutContract):
    name, fields = "d3rlpy", ("actions", "rewards", "terminated")

    def write_files(self, folder, *, without=None):
        arrays = test_d3rlpy.make_dump([(3, True), (2, False), (4, True)])
        return write_h5(folder / "a.h5", {name: a for name, a in arrays.items() if name != f"{without}_0"})

    def small_blocks(self, patch):
        patch.setattr(d3rlpy, "BLOCK_BYTES", 1)


class TestRllib(LayoutContract):
    name, fields = "rllib", ("obs", "actions", "rewards")

    def write_files(self, folder, *, without=None):
        batches = test_rllib.make_batches([3, 1, 2])
        batches[0].pop(without, None)
        return test_rllib.write_lines(folder / "output-2026_worker-0_0.json", batches)

    def small_blocks(self, patch):
        patch.setattr(rllib, "BLOCK_BYTES", 1)


class TestRllibTeam(TestRllib):
    """Two agents under two policies."""

    options = {"team_reward": "sum", "agent_rewards": True}

    def write_files(self, folder, *, without=None):
        batches = test_rllib.make_team([3, 1, 2])
        batches[0]["policy_batches"]["a"].pop(without, None)
        return test_rllib.write_lines(folder / "team.json", batches)


class TestMinari(LayoutContract):
    name, fields = "minari", ("actions", "rewards", "terminations")

    def write_files(self, folder, *, without=None):
        arrays = test_minari.make_arrays([3, 1, 2])
        kept = {name: a for name, a in arrays.items() if name != f"episode_0/{without}"}
        return test_minari.write_minari(folder, kept)

    def small_blocks(self, patch):
        patch.setattr(minari, "BLOCK_BYTES", 1)


class TestOmigaSmac(LayoutContract):
    name, fields = "omiga-smac", ()

    def write_files(self, folder, *, without=None):
        return write_smac(folder / "a", [make_smac(length, seed=length) for length in (3, 1, 2)])

    def small_blocks(self, patch):
        patch.setattr(omiga_smac, "BLOCK_BYTES", 1)


class TestVault(LayoutContract):
    name, fields = "vault", ("actions", "rewards", "terminals")

    def write_files(self, folder, *, without=None):
        experience = {name: a for name, a in make_experience("..t..l.t").items() if name != without}
        experience["infos"]["legals"][:] = 1
        return write_slowly(folder / "a.vlt" / "Good", experience)

    def small_blocks(self, patch):
        patch.setattr(vault_blocks, "block_spans", lambda n, size: iter([(i, i + 1) for i in range(len(n))]))


class TestRecording(LayoutContract):
    name, fields = "recording", ()

    def write_files(self, folder, *, without=None):
        episodes = make_episodes((3, 1, 2))
        write_recording(folder / "a", episodes, make_card(episodes))
        return folder / "a"


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
