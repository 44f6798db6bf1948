"""The recipe that goes on with steps of the environment: its curve, exact resuming, and what it refuses."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.errors import DataError, SettingsError
from omiga_torchrl.policies import load_policy
from omiga_torchrl.trainers import runs as trainer_runs

RECIPES = Path(__file__).parents[2] / "recipes"
COMMON = (
    *("trainer.batch_size=16", "trainer.progress_bar=false", "logger=null", "evaluation.interval=3"),
    *("evaluation.episodes=2", "evaluation.final_episodes=2", "+task_kwargs.max_steps=30"),
)
ROUNDS = ("trainer.collect_interval=2", "trainer.collect_envs=2", "trainer.collect_batches=1")
ONLINE = ("trainer.steps=6", *ROUNDS)


def call(recipe, function, *overrides):
    found = runpy.run_path(str(RECIPES / f"{recipe}.py"))
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        config = OmegaConf.to_object(compose(recipe, list(overrides)))
    return found[function](config)


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """A trained policy with critics, on normalised observations."""
    out = tmp_path_factory.mktemp("offline")
    small = (
        "algorithm=td3_bc",
        "normalise_observations=true",
        "algorithm.hidden_sizes=[8]",
        "trainer.steps=3",
        "seed=3",
    )
    call("train", "train", *small, f"out={out}", *COMMON)
    return next(out.iterdir())


def lines_of(run):
    lines = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    return {(one["label"], one["step"]): one["returns"] for one in lines}


def test_an_interrupted_run_resumes_to_the_same_end(offline, tmp_path, monkeypatch):
    annealed = ("trainer.warmup_steps=1", "trainer.anneal_steps=8", "trainer.capacity=120")
    how = (f"policy={offline}", *COMMON, *ONLINE, *annealed)
    call("finetune", "finetune", *how, f"out={tmp_path / 'whole'}")
    real, calls = trainer_runs.evaluate, []

    def stopped_at_the_end(*args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(trainer_runs, "evaluate", stopped_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        call("finetune", "finetune", *how, f"out={tmp_path / 'parts'}")
    monkeypatch.undo()
    call("finetune", "finetune", *how, f"out={tmp_path / 'parts'}", "existing=resume")
    whole, parts = (next((tmp_path / name).iterdir()) for name in ("whole", "parts"))
    assert whole.name == parts.name == "td3_bc_finetuned__vmas-navigation__mixed__seed3"  # the run's seed
    assert lines_of(whole) == lines_of(parts)
    steps = [("training", 0), ("training", 3), ("training", 6), ("final", 6)]
    assert [one for one in lines_of(whole) if one[0] != "best"] == steps
    one, other = (load_policy(run / "policy.pt").network.state_dict() for run in (whole, parts))
    assert all(torch.equal(value, other[key]) for key, value in one.items())

    # the first point is the score of the policy as it came
    assert lines_of(whole)["training", 0] == pytest.approx(lines_of(offline)["training", 3], abs=1e-5)
    before = load_policy(offline / "policy.pt").network.state_dict()
    assert any(not torch.equal(value, before[key]) for key, value in one.items())
    assert json.loads((whole / "run.json").read_text())["identity"]["trainer"]["started_from"]


@pytest.mark.parametrize("name", ["omiga", pytest.param("iql", marks=pytest.mark.slow)])
def test_other_algorithms_with_one_explorer(name, tmp_path):
    small = (f"algorithm={name}", "algorithm.hidden_sizes=[8]", "trainer.steps=3")
    call("train", "train", *small, f"out={tmp_path / 'offline'}", *COMMON)
    policy = next((tmp_path / "offline").iterdir())
    out = tmp_path / "online"
    call("finetune", "finetune", f"policy={policy}", *COMMON, *ONLINE, "trainer.explorers=one", f"out={out}")
    assert ("final", 6) in lines_of(next(out.iterdir()))


def test_what_cannot_go_on_is_refused(offline, tmp_path):
    how = (f"policy={offline}", *COMMON, *ONLINE, f"out={tmp_path / 'none'}")
    with pytest.raises(DataError, match="balance"):
        call("finetune", "finetune", *how, "task=vmas/balance")
    small = ("algorithm=icq", "algorithm.hidden_sizes=[8]", "trainer.steps=3", f"out={tmp_path / 'icq'}")
    call("train", "train", *small, *COMMON)
    sequences = next((tmp_path / "icq").iterdir())
    with pytest.raises(SettingsError, match="learns from single transitions, got icq along sequences"):
        call("finetune", "finetune", *how, f"policy={sequences}")
    for file in (sequences / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(SettingsError, match=r"which holds the critics, got policy\.pt alone"):
        call("finetune", "finetune", *how, f"policy={sequences}")
    assert not (tmp_path / "none").exists()
