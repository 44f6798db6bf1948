"""Suites: what is run, under which name, and every mistake before it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from omiga_torchrl.behaviors import available_tiers
from omiga_torchrl.benchmark import parse_suite
from omiga_torchrl.benchmark.grid import Grid
from omiga_torchrl.data import bundled_behaviours
from omiga_torchrl.errors import SettingsError

SUITES = Path(__file__).parents[2] / "recipes/configs/suite"
VALUES: dict[str, Any] = {
    "protocol": {"name": "mine", "seeds": [0, 1], "evaluation": {"final_episodes": 7}},
    "train": ["trainer=laptop", "trainer.steps=10"],
    "cells": {
        "navigation": {"task": "vmas/navigation", "tiers": ["mixed"]},
        "balance": {
            "task": "vmas/balance",
            "tiers": ["medium", "expert"],
            "transitions": 500,
            "evaluation": {"episodes": 3},
        },
    },
    "algorithms": {
        "bc": {},
        "omiga": {"where": {"*/expert": ["algorithm.alpha=3"]}},
        "alpha9": {"algorithm": "omiga", "train": ["algorithm.alpha=9"], "only": ["vmas/nav*"]},
    },
}


def grid(tmp_path: Path, **changed: Any) -> Grid:
    options = {name: changed.pop(name) for name in ("vectorize",) if name in changed}
    return Grid(parse_suite("mine", {**VALUES, **changed}), tmp_path, **options)


def test_runs_are_the_product_of_cells_algorithms_and_seeds(tmp_path: Path) -> None:
    runs = grid(tmp_path).suite.runs()
    told = [(run.cell.name, run.label, run.seed) for run in runs]
    assert len(told) == len(set(told)) == 2 * (3 + 2 + 2)
    assert {name for name, label, _ in told if label == "alpha9"} == {"vmas/navigation/mixed"}
    expert = next(run for run in runs if run.label == "omiga" and run.cell.tier == "expert")
    assert expert.overrides == ("algorithm=omiga", "trainer=laptop", "trainer.steps=10", "algorithm.alpha=3")
    assert (expert.evaluation.episodes, expert.evaluation.final_episodes) == (3, 7)


def test_the_more_particular_setting_wins() -> None:
    """That of an algorithm in some cells over the algorithm's, the cell's and the suite's."""
    layers: list[dict[str, Any]] = [
        {"train": ["trainer.lr=1"]},
        {"cells": {"navigation": {**VALUES["cells"]["navigation"], "train": ["trainer.lr=2"]}}},
        {"algorithms": {"bc": {"train": ["trainer.lr=3"]}}},
        {"algorithms": {"bc": {"train": ["trainer.lr=3"], "where": {"vmas/*": ["trainer.lr=4"]}}}},
    ]
    values = {**VALUES, "algorithms": {"bc": {}}}
    for number, layer in enumerate(layers, 1):
        values |= layer
        assert parse_suite("mine", values).runs()[0].overrides == ("algorithm=bc", f"trainer.lr={number}")


def test_presets_multiply_and_are_named(tmp_path: Path) -> None:
    presets = {"default": {}, "long": {"all": ["trainer.steps=90"], "omiga": ["algorithm.alpha=5"]}}
    runs = grid(tmp_path, presets=presets).suite.runs()
    labels = {run.label: run.overrides for run in runs if run.cell.tier == "expert"}
    assert set(labels) == {"bc", "omiga", "bc-long", "omiga-long"}
    assert "trainer.steps=90" in labels["bc-long"] and "trainer.steps=10" not in labels["bc-long"]
    assert labels["omiga-long"][-1] == "algorithm.alpha=5"


def test_a_key_changes_with_everything_that_was_asked_for(tmp_path: Path) -> None:
    def keys(**changed: Any) -> set[str]:
        return {key for _, key in grid(tmp_path, **changed).specs}

    same = keys()
    assert keys() == same and len(same) == 14
    assert not keys(train=["trainer=laptop", "trainer.steps=11"]) & same
    evaluation = {**VALUES["protocol"], "evaluation": {"final_episodes": 8}}
    assert not keys(protocol=evaluation) & same
    assert keys(seeds=[1, 2]) & same == {key for key in same if "seed1" in key}
    cells = {**VALUES["cells"], "balance": {**VALUES["cells"]["balance"], "transitions": 600}}
    assert len(keys(cells=cells) & same) == 6  # those of the bundled data


def test_jobs_record_inspect_and_train(tmp_path: Path) -> None:
    jobs = {job.name: job for job in grid(tmp_path).jobs()}
    record = jobs["record__vmas-balance-medium"]
    assert record.command[:5] == (
        *("record_dataset", "task=vmas/balance", "tier=medium", "transitions=500"),
        f"out={tmp_path}/datasets/vmas/balance/medium",
    )
    assert jobs["data__vmas-balance-medium"].after == (record.name,)
    assert jobs["data__vmas-navigation-mixed"].after == ()
    train = [job for job in jobs.values() if job.command[0] == "train"]
    assert len(train) == 14 and all(job.runs == 1 for job in train)
    one = next(job for job in train if job.name.startswith("omiga__vmas-balance__expert__seed1"))
    assert one.after == ("data__vmas-balance-expert",)
    assert {
        "seed=1",
        "existing=keep",
        "evaluation.episodes=3",
        f"dataset={tmp_path}/datasets/vmas/balance/expert",
    } <= {*one.command}


def test_seeds_train_together_where_that_is_faster(tmp_path: Path) -> None:
    small = [*VALUES["train"], "algorithm.hidden_sizes=[64,64]"]
    for changed, together in (
        ({}, False), ({"train": small}, True), ({"vectorize": "true"}, True),
        ({"train": small, "vectorize": "false"}, False),
    ):  # fmt: skip
        train = [job for job in grid(tmp_path, **changed).jobs() if job.command[0] == "train"]
        assert {job.runs for job in train} == ({2} if together else {1})
        assert any("seeds=[0,1]" in job.command for job in train) == together
        assert sum(job.runs for job in train) == 14
        # So few steps do not earn the time of compiling.
        assert all(("compile=none" in job.command) == together for job in train)
    long = {"train": ["trainer=laptop", "trainer.steps=3000", "algorithm.hidden_sizes=[64,64]"]}
    train = [job for job in grid(tmp_path, **long).jobs() if job.command[0] == "train"]
    assert all(job.runs == 2 and "compile=none" not in job.command for job in train)


def test_a_published_file_is_taken_where_it_is(tmp_path: Path) -> None:
    cell = {
        "task": "mujoco/hopper-3x1",
        "tiers": ["expert"],
        "transitions": 10,
        "published": "omiga:hopper-3x1/{tier}",
    }
    suite = parse_suite("mine", {**VALUES, "cells": {"hopper": cell}})
    found = Grid(suite, tmp_path, str(tmp_path))
    assert found.sources["mujoco/hopper-3x1/expert"].kind == "recording"
    (tmp_path / "Hopper-v2-3x1-expert.hdf5").touch()
    there = Grid(suite, tmp_path, str(tmp_path))
    assert there.sources["mujoco/hopper-3x1/expert"].train == "omiga:hopper-3x1/expert"
    assert not {key for _, key in found.specs} & {key for _, key in there.specs}
    assert not [job for job in there.jobs() if job.command[0] == "record_dataset"]


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"cels": []}, "unknown key of suite 'cels'; did you mean 'cells'"),
        (
            {"cells": {"a": {"task": "vmas/wheel", "tiers": ["medum"], "transitions": 5}}},
            "did you mean 'medium'",
        ),
        ({"cells": {"a": {"task": "vmas/navigaton", "tiers": ["mixed"]}}}, "did you mean 'vmas/navigation'"),
        (
            {"cells": {"a": {"task": "tabular/xor", "tiers": ["expert"], "transitions": 5}}},
            "did you mean 'experts'",
        ),
        ({"cells": {}}, "expected at least one, each once"),
        ({"algorithms": {"omgia": {}}}, "did you mean 'omiga'"),
        ({"algorithms": {"bc": {"trian": []}}}, "unknown key of algorithms.bc 'trian'"),
        ({"presets": {"default": {"omgia": []}}}, "unknown algorithm of preset default 'omgia'"),
        ({"seeds": [0, 0]}, "each once"),
        ({"seeds": [1000]}, "not the tuning seed 1000"),
        ({"protocol": {"name": "a", "evaluation": {"epsiodes": 3}}}, "did you mean 'episodes'"),
    ],
)  # fmt: skip
def test_mistakes_are_named(changed: dict[str, Any], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        parse_suite("mine", {**VALUES, **changed})


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_cell_and_algorithm_can_be_left_out_on_the_command_line(path: Path) -> None:
    """Hydra's grammar has no key that begins with a digit: ``~suite.cells.2s3z`` is no override."""
    values = yaml.safe_load(path.read_text())
    groups = {group: values.get(group, {}) for group in ("cells", "algorithms")}
    overrides = [f"~suite.{group}.{key}" for group, keys in groups.items() for key in keys]
    parsed = OverridesParser.create().parse_overrides(overrides)
    assert [one.key_or_group for one in parsed] == [one[1:] for one in overrides]


@pytest.mark.parametrize("path", sorted(SUITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_cell_can_be_recorded(path: Path) -> None:
    cells = yaml.safe_load(path.read_text()).get("cells", {}).values()
    for cell in (cell for cell in cells if "task" in cell):
        assert set(cell["tiers"]) <= set(available_tiers(cell["task"]))
        if not cell["task"].startswith("tabular/"):
            assert bundled_behaviours(cell["task"])


def test_a_part_of_a_suite_has_the_same_runs(tmp_path: Path) -> None:
    whole = grid(tmp_path)
    part = Grid(whole.suite.restricted(["omiga"], ["*/expert", "vmas/nav*"]), tmp_path)
    expected = [key for _, key in whole.specs if key.startswith("omiga__") and "medium" not in key]
    assert [key for _, key in part.specs] == expected and len(expected) == 4
    assert whole.suite.restricted(None, None) == whole.suite


def test_a_part_that_is_not_there_is_named() -> None:
    suite = parse_suite("mine", VALUES)
    with pytest.raises(SettingsError, match=r"unknown algorithm 'omega'; did you mean 'omiga'"):
        suite.restricted(["omega"], None)
    with pytest.raises(SettingsError, match=r"unknown cell 'vmas/balance/expart'; did you mean"):
        suite.restricted(None, ["vmas/*", "vmas/balance/expart"])
