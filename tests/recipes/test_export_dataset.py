"""Recordings go out in published layouts and come back the same."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.data import LAYOUTS, OfflineDataset

RECIPES = Path(__file__).parents[2] / "recipes"


def export(folder, *overrides):
    recipe = runpy.run_path(str(RECIPES / "export_dataset.py"))
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        config = compose("export_dataset", [f"root={folder / 'cache'}", *overrides])
    return recipe["export"](OmegaConf.to_object(config))


@pytest.mark.parametrize(
    ("layout", "options"),
    [
        ("omiga-mujoco", {"timeout_is_terminal": False, "max_steps": 100}),
        ("vault", {}),
    ],
)
def test_round_trip(tmp_path, layout, options):
    out = export(tmp_path, f"layout={layout}", f"out={tmp_path / 'exported'}")
    again = OfflineDataset(out, root=tmp_path, reward_scale=None, **options)
    ours = OfflineDataset("vmas/navigation/mixed", root=tmp_path, reward_scale=None)
    assert again.source.layout.name == layout
    ended = ours.data["next", "terminated"].squeeze(-1)
    for key in ours.data.keys(True, True):
        theirs, mine = again.data[key], ours.data[key]
        # A vault does not hold what was seen after a termination, which nothing reads.
        rows = ~ended if layout == "vault" and key[0] == "next" else slice(None)
        assert torch.equal(theirs[rows], mine[rows]), key


def test_layouts_that_cannot_be_written(tmp_path):
    writable = {name for name, layout in LAYOUTS.items() if layout.writable}
    assert writable == {"omiga-mujoco", "pymarl-npy", "vault"}
    with pytest.raises(ValueError, match=r"unknown layout to write 'd4rl'.*from: omiga-mujoco, pymarl"):
        export(tmp_path, "layout=d4rl", f"out={tmp_path / 'x'}")
    (tmp_path / "there.hdf5").write_text("mine")
    with pytest.raises(FileExistsError):
        export(tmp_path, "layout=omiga-mujoco", f"out={tmp_path / 'there.hdf5'}")
    assert (tmp_path / "there.hdf5").read_text() == "mine"
