"""The recipes from the command line, and every configuration."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.benchmark import parse_suite
from omiga_torchrl.policies import load_policy
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import runs

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
CONFIGS = RECIPES / "configs"
# Groups of recipes/benchmark.py, and where they go.
PLACES = {"suite": "suite", "protocol": "protocol@suite.protocol", "preset": "+preset@suite.presets.one"}
SMALL = (
    *("trainer.steps=6", "trainer.batch_size=8", "trainer.progress_bar=false", "trainer.log_interval=2"),
    *("evaluation.interval=3", "evaluation.episodes=4", "evaluation.final_episodes=4"),
)


def run(recipe, folder, *overrides):
    return subprocess.run(
        [sys.executable, str(RECIPES / f"{recipe}.py"), *overrides],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )


# Those of Hydra's own groups: tests/benchmark/test_cluster.py.
YAMLS = [
    p.relative_to(CONFIGS) for p in CONFIGS.rglob("*.yaml") if p.relative_to(CONFIGS).parts[0] != "hydra"
]


@pytest.mark.parametrize("config", sorted(path.as_posix() for path in YAMLS))
def test_every_yaml_loads(config):
    name = config.removesuffix(".yaml")
    group = name.partition("/")[0] if "/" in name else None
    top = name if group is None else "benchmark" if group in PLACES else "train"
    assert "main" in runpy.run_path(str(RECIPES / f"{top}.py"))  # registers its schema
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = [name.replace("/", "=")] if "/" in name else []
        if group == "experiment":  # no part of the defaults: added, not replaced
            overrides = [f"+{overrides[0]}"]
        if group in PLACES:
            overrides = [f"{PLACES[group]}={Path(name).name}"]
        if group == "protocol":  # a suite whose algorithms can be tuned
            overrides.append("suite=vmas")
        content = compose(top, overrides)
        if group in PLACES:
            suite = parse_suite(name, OmegaConf.to_object(content.suite))
            asked = {one.overrides for one in suite.runs()}
            runpy.run_path(str(RECIPES / "train.py"))
            assert all(compose("train", [*one, "++algorithm.label=one"]) for one in asked)
    assert OmegaConf.missing_keys(content) <= {"policy", "runs", "layout", "out"}
    if top == "train":  # the algorithm takes what is written for it
        arguments = dict(OmegaConf.to_object(content.algorithm))
        known = {k: v for k, v in arguments.items() if k not in ("name", "label", "preset", "slice_len")}
        assert make_algorithm(arguments["name"], TeamSpec(2, 3, 2, 6), **known).loss.out_keys


def test_train_evaluate_report(tmp_path):
    done = run("train", tmp_path, "-m", "algorithm=bc,omiga", "seed=0", "out=runs", *SMALL)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "omiga__vmas-navigation__mixed__seed0"
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert [(line["label"], line["step"]) for line in lines] == [
        ("training", 3),
        ("training", 6),
        ("final", 6),
        ("best", lines[-1]["step"]),
    ]
    best = max(lines[:2], key=lambda line: sum(line["returns"]))
    assert lines[-1]["step"] == best["step"] and lines[-1]["seed"] == lines[-2]["seed"] == 1_000_000
    assert [one.name for one in (folder / "best").iterdir()] == [f"step_{best['step']}.pt"]
    assert all(len(line["returns"]) == 4 for line in lines)
    assert json.loads((folder / "run.json").read_text())["behaviour_return"] == pytest.approx(1.04, abs=0.01)

    assert f"next: python -m omiga_torchrl run evaluate policy={folder.relative_to(tmp_path)}" in done.stdout
    done = run("evaluate", tmp_path, f"policy={folder}", "episodes=4", "num_envs=4", "out=returns.jsonl")
    assert done.returncode == 0, done.stderr
    # the saved policy is the one that the final evaluation judged
    again = json.loads((tmp_path / "returns.jsonl").read_text())["returns"]
    assert again == pytest.approx(lines[-2]["returns"], abs=1e-5)
    assert load_policy(folder / "best.pt").algorithm == "omiga"

    done = run("report", tmp_path, "runs=runs", "out=report")
    assert done.returncode == 0, done.stderr
    assert re.search(r"navigation\s+mixed\s+omiga", done.stdout) and "behaviour" in done.stdout
    assert (tmp_path / "report" / "report.png").stat().st_size > 10_000

    # nothing but what was asked for is left in the folder
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "report", "returns.jsonl"}

    done = run("train", tmp_path, "algorithm=omiga", "out=runs", *SMALL)
    assert done.returncode != 0 and "holds a run already" in done.stderr


def test_interrupted_run_resumes_to_the_same_end(tmp_path, monkeypatch):
    recipe = runpy.run_path(str(RECIPES / "train.py"))
    real, calls = runs.evaluate, []

    def stopped_at_the_second(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    def train(out, *overrides):
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose(
                "train", [f"out={tmp_path / out}", "trainer.save_interval=3", *SMALL, *overrides]
            )
        return recipe["train"](OmegaConf.to_object(config))

    whole = train("whole")
    monkeypatch.setattr(runs, "evaluate", stopped_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train("parts")
    monkeypatch.setattr(runs, "evaluate", real)
    assert train("parts", "existing=resume") == whole
    lines = (tmp_path / "parts" / "omiga__vmas-navigation__mixed__seed0" / "evaluations.jsonl").read_text()
    records = [json.loads(line) for line in lines.splitlines()]
    assert [one["step"] for one in records[:3]] == [3, 6, 6]
    assert [one["label"] for one in records] == ["training", "training", "final", "best"]


@pytest.mark.parametrize(("decay", "schedule"), [("true", "cosine"), ("false", None)])
def test_cosine_decay_is_still_understood(decay, schedule):
    runpy.run_path(str(RECIPES / "train.py"))  # registers its schema
    other = "trainer=published" if schedule else "trainer=laptop"
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [other, f"trainer.cosine_decay={decay}"])
    with pytest.warns(FutureWarning, match="cosine_decay is deprecated"):
        assert OmegaConf.to_object(config).trainer.lr_schedule == schedule


@pytest.mark.parametrize(
    ("override", "match"),
    [
        (
            "task=vmas/navigaton",
            "error: make_env: unknown task 'vmas/navigaton'; did you mean",
        ),
        ("dataset=mixd", "error: train: unknown dataset of vmas/navigation 'mixd'; did you mean 'mixed'"),
        (
            "task=vmas/balance",
            "record_dataset task=vmas/balance tier=mixed, then dataset=runs/datasets/vmas",
        ),
        ("dataset=my/data.h5", "must be a file or folder that is there, got my/data.h5"),
        ("algorithm=omgia", "unknown algorithm 'omgia'; did you mean 'omiga'"),
        ("algorithm.variant=offical", "did you mean 'official'"),
        ("trainer.stepz=3", "stepz"),
        ("existing=replace", "unknown value of existing"),
        ("algorithm=awr algorithm.slice_len=null", "expected sequences [*batch, time, ...]"),
        ("algorithm=cql algorithm.cql_alpha=nan", "cql_alpha is nan; expected a number >= 0"),
    ],
)
def test_mistakes_are_named_before_training(tmp_path, override, match):
    done = run("train", tmp_path, *override.split(), *SMALL)
    assert done.returncode != 0 and match in done.stderr, done.stderr
    assert "OfflineDataset" not in done.stderr
    assert not any(tmp_path.iterdir())


HYDRA = sorted(path.stem for path in RECIPES.glob("*.py") if "hydra.main" in path.read_text())


@pytest.mark.parametrize("recipe", HYDRA)
def test_every_recipe_imports_modules_of_the_users_first(recipe):
    source = (RECIPES / f"{recipe}.py").read_text()
    assert re.search(r"import_modules\((config|options)\.imports\)", source)
    runpy.run_path(str(RECIPES / f"{recipe}.py"))
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        assert compose(recipe, ["imports=[my_module]"]).imports == ["my_module"]


def test_train_only_wires():
    assert len((RECIPES / "train.py").read_text().splitlines()) <= 200


def test_custom_pipeline_is_short_and_runs(tmp_path):
    assert len((RECIPES / "custom_pipeline.py").read_text().splitlines()) <= 80
    done = run("custom_pipeline", tmp_path, "--steps", "3", "--batch-size", "8")
    assert done.returncode == 0, done.stderr
    assert re.search(r"return -?\d+\.\d\d \(behaviour 1\.04\)", done.stdout)


@pytest.mark.slow
def test_omiga_beats_cloning_and_behaviour_on_the_bundled_data(tmp_path):
    done = run("train", tmp_path, "-m", "algorithm=bc,omiga", "out=runs", "trainer.progress_bar=false")
    assert done.returncode == 0, done.stderr
    returns = {}
    for file in (tmp_path / "runs").glob("*/evaluations.jsonl"):
        last = json.loads(file.read_text().splitlines()[-1])
        returns[file.parent.name.split("__")[0]] = sum(last["returns"]) / len(last["returns"])
    assert returns["omiga"] >= 2.6 and returns["omiga"] > returns["bc"] + 0.5


@pytest.mark.parametrize(
    ("task", "dataset", "normalised"),
    [("navigation", "mixed", "true"), ("speaker_listeners-mixed", "medium", "true")],
)
def test_the_policy_of_a_run_plays_as_it_was_trained(tmp_path, task, dataset, normalised):
    data = (f"task=vmas/{task}", f"dataset={dataset}", f"normalise_observations={normalised}")
    done = run("train", tmp_path, "algorithm=bc", "out=runs", *data, *SMALL)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / f"bc__vmas-{task}__{dataset}__seed0"
    last = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
    done = run("evaluate", tmp_path, f"policy={folder}", "episodes=4", "num_envs=4", "out=returns.jsonl")
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "returns.jsonl").read_text())["returns"]
    assert again == pytest.approx(last["returns"], abs=1e-4)


def test_a_behaviour_of_groups_is_evaluated(tmp_path):
    checkpoint = ROOT / "omiga_torchrl/assets/behaviour/vmas/speaker_listeners/00400000.pt"
    done = run("evaluate", tmp_path, f"policy={checkpoint}", "episodes=4", "num_envs=4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("vmas/speaker_listeners: 4 episodes: return -")
