"""Every published layout trains through recipes/train.py, with nothing but its path."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import h5py
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.algorithms import ALGORITHMS
from omiga_torchrl.data import LAYOUTS
from omiga_torchrl.policies import load_policy
from tests.data.conftest import make_episodes
from tests.data.layouts import test_d3rlpy, test_rllib
from tests.data.layouts.helpers_files import make_omar, make_padded, make_smac, write_npys, write_smac
from tests.data.layouts.helpers_hdf5 import write_h5

RECIPES = Path(__file__).parents[2] / "recipes"
LENGTHS = (9, 7, 12)


def h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def omiga_mujoco(folder):
    rng, rows = np.random.default_rng(0), sum(LENGTHS) + len(LENGTHS)
    seen = rng.normal(size=(rows, 3, 14)).astype(np.float32)
    ends = np.zeros((rows, 1), np.float32)
    ends[np.cumsum(np.array(LENGTHS) + 1) - 1] = 1
    action = rng.normal(size=(rows, 3, 1)).astype(np.float32) * 2  # leaves [-1, 1], as published
    reward = rng.normal(size=(rows, 1)).astype(np.float32)
    arrays = {"s": seen, "o": seen, "a": action, "r": reward, "d": ends}
    return h5(folder / "Hopper-v2-3x1-medium.hdf5", arrays)


def d4rl(folder):
    rng, rows = np.random.default_rng(0), sum(LENGTHS)
    timeouts = np.zeros(rows, bool)
    timeouts[np.cumsum(LENGTHS) - 1] = True
    return h5(
        folder / "hopper.hdf5",
        {
            "observations": rng.normal(size=(rows, 11)).astype(np.float32),
            "actions": rng.uniform(-1, 1, (rows, 3)).astype(np.float32),
            "rewards": rng.normal(size=rows).astype(np.float32),
            "terminals": np.zeros(rows, bool),
            "timeouts": timeouts,
        },
    )


def minari(folder):
    rng, path = np.random.default_rng(0), folder / "mine" / "toy-v0" / "data"
    path.mkdir(parents=True)
    arrays = {}
    for number, length in enumerate(LENGTHS):
        ends = np.arange(length) == length - 1
        arrays |= {
            f"episode_{number}/observations": rng.normal(size=(length + 1, 4)),
            f"episode_{number}/actions": rng.uniform(-1, 1, (length, 2)),
            f"episode_{number}/rewards": rng.normal(size=length),
            f"episode_{number}/terminations": ends & (number == 0),
            f"episode_{number}/truncations": ends & (number != 0),
        }
    h5(path / "main_data.hdf5", arrays)
    (path / "metadata.json").write_text('{"total_episodes": 3, "total_steps": 28, "data_format": "hdf5"}')
    return path.parent


def padded():
    arrays = make_padded(list(LENGTHS), [True, False, True])
    return {**arrays, "avail_actions": np.ones_like(arrays["avail_actions"])}


def omiga_smac(folder):
    episodes = [make_smac(length, seed=length) for length in LENGTHS]
    for step in (step for episode in episodes for agent in episode for step in agent):
        step[5] = [1.0] * 5  # the actions are legal
    return write_smac(folder / "3m", episodes)


def vault(folder):
    LAYOUTS["vault"].write(folder / "toy.vlt" / "Good", [make_episodes(LENGTHS)])
    return folder / "toy.vlt"


def d3rlpy(folder):
    arrays = test_d3rlpy.make_dump([(length, length == 9) for length in LENGTHS])
    return write_h5(folder / "replay.h5", arrays)


def rllib(folder):
    return test_rllib.write_lines(folder / "output.json", test_rllib.make_batches(LENGTHS))


WRITERS = {
    "omiga-mujoco": omiga_mujoco,
    "d3rlpy": d3rlpy,
    "d4rl": d4rl,
    "minari": minari,
    "pymarl-h5": lambda folder: h5(folder / "3m.h5", padded()),
    "pymarl-npy": lambda folder: write_npys(folder / "3m", padded()),
    "omar": lambda folder: write_npys(folder / "seed_0_data", make_omar(LENGTHS)),
    "omiga-smac": omiga_smac,
    "rllib": rllib,
    "vault": vault,
}
READ = {"omar": ["read.team_reward=mean"]}


def test_no_layout_is_forgotten():
    assert {*WRITERS, "recording"} == set(LAYOUTS)


def train(tmp_path, layout, *overrides):
    """Five steps on a file in a layout; gives the saved policy."""
    path = WRITERS[layout](tmp_path)
    recipe = runpy.run_path(str(RECIPES / "train.py"))
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        config = compose(
            "train",
            [
                *("task=null", f"dataset={path}", f"out={tmp_path / 'runs'}", *overrides),
                *("trainer.steps=5", "trainer.batch_size=8", "trainer.progress_bar=false", "logger=null"),
                *("algorithm.hidden_sizes=[8]", f"data_root={tmp_path / 'cache'}", *READ.get(layout, [])),
            ],
        )
    assert math.isnan(recipe["train"](OmegaConf.to_object(config)))
    (saved,) = (tmp_path / "runs").glob("*/policy.pt")
    return load_policy(saved)


@pytest.mark.parametrize("algorithm", ["bc", "omiga"])
@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_a_path_is_enough(tmp_path, layout, algorithm):
    assert train(tmp_path, layout, f"algorithm={algorithm}").algorithm == algorithm


PRESETS = {path.stem: OmegaConf.load(path) for path in sorted((RECIPES / "configs/algorithm").glob("*.yaml"))}
KINDS = {"omiga-mujoco": "continuous", "d4rl": "continuous", "pymarl-h5": "discrete"}


def algorithm_of(preset):
    while "name" not in PRESETS[preset]:  # a preset of another preset
        preset = PRESETS[preset]["defaults"][0]
    return PRESETS[preset]["name"]


@pytest.mark.parametrize(
    ("preset", "layout"),
    [
        (preset, layout)
        for preset in PRESETS
        for layout, kind in KINDS.items()
        if kind in ALGORITHMS[algorithm_of(preset)].actions
        and (preset, layout) != ("cfcql", "d4rl")  # one agent shares its penalty with nobody
    ],
)
def test_every_preset_trains_teams_and_single_agents(tmp_path, preset, layout):
    train(tmp_path, layout, f"algorithm={preset}")


def test_every_algorithm_has_a_preset():
    assert {algorithm_of(preset) for preset in PRESETS} == set(ALGORITHMS)


def test_recurrent_teams_train_from_the_command_line(tmp_path):
    options = ("algorithm.rnn_hidden_size=8", "algorithm.slice_len=4", "algorithm.burn_in=1")
    train(tmp_path, "pymarl-h5", "algorithm=omiga", *options)


@pytest.mark.parametrize("algorithm", ["bc", "omiga"])
def test_clipped_actions_take_a_censored_gaussian_and_a_line_of_the_log(tmp_path, caplog, algorithm):
    def clipped(folder):
        path = d4rl(folder)
        with h5py.File(path, "r+") as file:
            file["actions"][:] = np.sign(file["actions"][:])
        return path

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("INFO", "train"):
        patch.setitem(WRITERS, "d4rl", clipped)
        saved = train(tmp_path, "d4rl", f"algorithm={algorithm}", "allow_duplicates=true")
    assert saved.team.clipped
    said = [one.message for one in caplog.records if "censored" in one.message]
    assert len(said) == 1 and said[0].startswith(
        "actions on a bound: agents 100.0%; the policy is a censored"
    )
