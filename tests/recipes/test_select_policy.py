"""The recipe that chooses a policy: from runs to the chosen folder, and what it refuses."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from omiga_torchrl.errors import DataError, SettingsError
from omiga_torchrl.evaluation import evaluate
from omiga_torchrl.policies import load_policy
from omiga_torchrl.report import load_runs
from omiga_torchrl.selection import find_candidates, open_candidate, open_data

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = (
    *("trainer.steps=4", "trainer.batch_size=16", "trainer.progress_bar=false", "logger=null"),
    *("evaluation.interval=2", "evaluation.episodes=2", "evaluation.final_episodes=2"),
    *("algorithm.hidden_sizes=[8]", "trainer.keep_checkpoints=5", "task_kwargs.max_steps=5"),
)
FITS = ("fqe.steps=3", "fqe.behavior_steps=3", "fqe.hidden_sizes=[8]", "fqe.batch_size=16", "fqe.seeds=2")


def call(recipe, function, *overrides):
    found = runpy.run_path(str(RECIPES / f"{recipe}.py"))
    with initialize_config_dir(str(RECIPES / "configs"), version_base="1.3"):
        config = OmegaConf.to_object(compose(recipe, list(overrides)))
    return found[function](config)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A cloned policy and one with a critic, which knows normalised observations, two checkpoints each."""
    folder = tmp_path_factory.mktemp("select") / "runs"
    small = [one.replace("task_kwargs", "+task_kwargs") for one in SMALL]
    call("train", "train", "algorithm=bc", f"out={folder}", *small)
    call("train", "train", "algorithm=iql", "normalise_observations=true", f"out={folder}", *small)
    return folder


def test_from_runs_to_the_chosen_policy(runs, tmp_path, capsys):
    online = ("online_pulls=3", "online_policies=3")
    selection = call("select_policy", "select", f"runs={runs}", f"out={tmp_path}", *FITS, *online)
    names = {f"{name}__vmas-navigation__mixed__seed0@{step}" for name in ("bc", "iql") for step in (2, 4)}
    assert {one.name for one in selection.ranked} == names
    assert all(len(one.values[critic]) == 2 for one in selection.ranked for critic in ("auto", "joint"))
    by_name = {one.name: one for one in selection.ranked}
    cheap = by_name["iql__vmas-navigation__mixed__seed0@4"].cheap
    assert None not in vars(cheap).values() and 0 < cheap.effective_sample_size <= 1
    assert by_name["bc__vmas-navigation__mixed__seed0@4"].cheap.td_error is None

    records = json.loads((tmp_path / "selection.json").read_text())
    assert records["online"]["policies"] == [one.name for one in selection.ranked[:3]]
    assert records["online"]["arms"] == [0, 1, 2] and len(records["online"]["scores"]) == 3
    assert_scores_are_of_each_policys_own_environment(runs, records["online"])
    assert records["chosen"] in names and records["calibration"]["auto"]["spread"] > 0
    assert "| 1 |" in (tmp_path / "selection.md").read_text()
    assert (tmp_path / "selection.png").stat().st_size > 10_000
    assert "fitted value" in capsys.readouterr().out

    policy = load_policy(tmp_path / "chosen" / "policy.pt")
    found = {one.name: one for one in find_candidates(load_runs(runs)).candidates}
    chosen = open_candidate(found[records["chosen"]])
    for key, value in chosen.policy.state_dict().items():
        torch.testing.assert_close(value, policy.network.state_dict()[key])
    assert policy.metadata["task_kwargs"]["max_steps"] == 5
    assert (policy.metadata["normalisation"] is None) == records["chosen"].startswith("bc")


def assert_scores_are_of_each_policys_own_environment(runs, online):
    """Three of four policies, so that one knows raw observations and another normalised ones."""
    found = {one.name: one for one in find_candidates(load_runs(runs)).candidates}
    for seed, (name, score) in enumerate(zip(online["policies"], online["scores"], strict=True)):
        opened, info = open_candidate(found[name]), found[name].run.info
        env = opened.facts.make_env(num_envs=1)
        value = evaluate(opened.team_policy, env, episodes=1, seed=seed).mean_return
        expected = (value - info.random_return) / (info.best_checkpoint_return - info.random_return)
        assert score == pytest.approx(expected, abs=1e-5)


def test_a_checkpoint_is_the_policy_of_its_step(runs):
    found = find_candidates(load_runs(runs / "bc__vmas-navigation__mixed__seed0")).candidates
    assert [(one.step, one.is_last) for one in found] == [(2, False), (4, True)]
    final = load_policy(runs / "bc__vmas-navigation__mixed__seed0" / "policy.pt").network
    early, late = (open_candidate(one).policy.state_dict() for one in found)
    assert all(torch.equal(value, final.state_dict()[key]) for key, value in late.items())
    assert any(not torch.equal(value, late[key]) for key, value in early.items())
    (last,) = find_candidates(load_runs(runs / "bc__vmas-navigation__mixed__seed0"), "last").candidates
    assert last.step == 4 and len(last.evaluation.returns) == 2


def test_what_cannot_be_ranked_is_refused(runs, tmp_path):
    with pytest.raises(DataError, match=r"must cover the candidates' actions, of which .* 0\.9. .*@2 \(0\."):
        call("select_policy", "select", f"runs={runs}", f"out={tmp_path}", "least_coverage=1.0", *FITS)
    with pytest.raises(SettingsError, match="critics must name at least one critic"):
        call("select_policy", "select", f"runs={runs}", f"out={tmp_path}", "critics=[]")
    with pytest.raises(SettingsError, match=r"unknown key 'fqe\.step'; did you mean 'steps'"):
        call("select_policy", "select", f"runs={runs}", f"out={tmp_path}", "++fqe.step=3")
    assert not list(tmp_path.iterdir())


def test_runs_that_do_not_fit_together_are_named(runs, tmp_path):
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    file = copy / "iql__vmas-navigation__mixed__seed0" / "run.json"
    text = file.read_text()
    file.write_text(text.replace('"task": "vmas/navigation"', '"task": "vmas/balance"', 1))
    with pytest.raises(DataError, match="must be of one task and dataset, got vmas/balance, mixed; vmas/nav"):
        find_candidates(load_runs(copy))
    file.write_text(text)
    (copy / "iql__vmas-navigation__mixed__seed0" / "policy.pt").unlink()
    found = find_candidates(load_runs(copy))
    assert len(found.candidates) == 2 and "iql__vmas-navigation__mixed__seed0 is left out" in found.notes[0]
    (copy / "bc__vmas-navigation__mixed__seed0" / "policy.pt").unlink()
    with pytest.raises(DataError, match=r"must hold finished ones with policy\.pt, got none"):
        find_candidates(load_runs(copy))


def test_other_data_than_the_runs_learned_from_are_refused(runs):
    (run,) = load_runs(runs / "bc__vmas-navigation__mixed__seed0")
    assert open_data(run).card.name == "vmas/navigation/mixed"
    run.info.identity["data"]["fingerprint"] = "another"
    with pytest.raises(DataError, match=r"must hold what .* learned from, got other data"):
        open_data(run)
    run.info.audit.clear()
    with pytest.raises(DataError, match="must name the dataset's source, got none"):
        open_data(run)
