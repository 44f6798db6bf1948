"""Files of a former version open under the present names, and act and go on as recorded then."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.errors import DataError
from omiga_torchrl.policies import load_policy
from omiga_torchrl.renames import rename_entries, rename_entry
from omiga_torchrl.report import RunInfo, RunWriter, load_runs
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer, load_checkpoint
from omiga_torchrl.trainers.former import present_loss_state

FORMER = Path(__file__).parent / "files/former"
RECORDED = json.loads((FORMER / "recorded.json").read_text())
POLICIES = sorted(path.name.removesuffix(".policy.pt") for path in FORMER.glob("*.policy.pt"))
SPEC = TeamSpec(2, 3, 1, 4)
TRAINERS: dict[str, dict[str, Any]] = {
    "brac_p": {"mixer": "none", "num_qvalue_nets": 1, "target_divergence": 0.5, "num_action_samples": 2,
               "gamma": 0.9},
    "comadice": {"mixer": "none", "alpha": 2.0},
    "bc": {"hidden_sizes": [4]},
    "omac": {"mixer_hidden_sizes": [2], "num_qvalue_nets": 1, "temperature": 0.5},
}  # fmt: skip


@pytest.mark.parametrize("name", POLICIES)
def test_policies_act_as_recorded(name: str) -> None:
    policy = load_policy(FORMER / f"{name}.policy.pt")
    spec = policy.team
    torch.manual_seed(1)
    batch = spec.fake_batch(4)
    batch["agents", "last_action"] = batch["agents", "action"]
    for key, value in policy.initial_state(4).items():
        batch.setdefault(key, torch.as_tensor(value))
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        action = policy(batch.select(*policy.in_keys, *policy.memory_keys))["agents", "action"]
    torch.testing.assert_close(action, torch.tensor(RECORDED[name]))
    assert policy.metadata == {"task": "mine"}


def test_arguments_are_given_under_their_present_names() -> None:
    assert load_policy(FORMER / "icq_behaviour.policy.pt").arguments == {
        "hidden_sizes": [4], "mixer_hidden_sizes": [4], "behavior_hidden_sizes": [4],
        "partition_estimate": "behavior",
    }  # fmt: skip
    assert load_policy(FORMER / "omac.policy.pt").arguments["temperature"] == 0.5


def unzipped(name: str, folder: Path) -> Path:
    path = folder / "step_3.pt"
    path.write_bytes(gzip.decompress((FORMER / f"{name}.checkpoint.pt.gz").read_bytes()))
    return path


def trainer_of(name: str, **arguments: Any) -> OfflineTrainer:
    torch.manual_seed(0)
    parts = make_algorithm(name, SPEC, **{"hidden_sizes": [], **TRAINERS[name], **arguments})
    buffer = ReplayBuffer(storage=LazyTensorStorage(16), batch_size=8)
    buffer.extend(SPEC.fake_batch(16))
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=6,
        log_interval=4,
        progress_bar=False,
        seed=0,
    )


@pytest.mark.parametrize("name", TRAINERS)
def test_trainers_go_on_as_recorded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, lines = trainer_of(name), []
    trainer.load_from_file(unzipped(name, tmp_path))
    assert trainer.step_count == 3
    monkeypatch.setattr(trainer, "log_now", lines.append)
    trainer.train()
    found = {
        group["name"]: sum(parameter.double().square().sum().item() for parameter in group["params"])
        for group in trainer.optimizer.param_groups
    }
    wanted = {rename_entry(group): value for group, value in RECORDED[f"{name}.checkpoint"].items()}
    assert found == pytest.approx(wanted, rel=1e-5)
    # The line of step 4 is the mean over steps of both versions.
    logged = {rename_entry(metric): value for metric, value in RECORDED[f"{name}.log"].items()}
    assert {metric: lines[0].get(metric) for metric in logged} == pytest.approx(logged, rel=1e-4)


@pytest.mark.parametrize("name", TRAINERS)
def test_coefficients_are_the_numbers_that_were_given(name: str, tmp_path: Path) -> None:
    trainer = trainer_of(name)
    before = {key: value.clone() for key, value in trainer.loss_module.state_dict().items()}
    trainer.load_from_file(unzipped(name, tmp_path))
    after = trainer.loss_module.state_dict()
    exact = [key for key, value in before.items() if value.dtype == torch.float64]
    assert "gamma" in exact and all(torch.equal(before[key], after[key]) for key in exact)


def test_a_run_is_resumed_with_the_present_names_only_if_it_is_the_same(tmp_path: Path) -> None:
    shutil.copytree(FORMER / "runs", tmp_path, dirs_exist_ok=True)
    algorithm = {"name": "brac_p", "slice_len": None, "hidden_sizes": [128, 128], "target_divergence": 0.5}
    trainer = {
        "steps": 6, "batch_size": 8, "lr": 5e-4, "clip_grad_norm": 1.0, "log_interval": 100,
        "save_interval": 10_000, "progress_bar": True, "lr_schedule": "cosine", "cosine_decay": None,
    }  # fmt: skip

    def resume(trainer: dict[str, Any], **arguments: Any) -> None:
        given = {"reward_scale": "std", "normalise_observations": False, "read": {"layout": None}}
        given |= {"algorithm": {**algorithm, **arguments}, "trainer": trainer}
        info = RunInfo("brac_p", "vmas/navigation", "mixed", 0, given)
        RunWriter(tmp_path, info, existing="resume")

    with pytest.raises(ValueError, match=r"other values of algorithm\.warmup_steps;"):
        resume(trainer)
    with pytest.raises(ValueError, match=r"other values of algorithm\.gamma, trainer\.lr_schedule;"):
        resume({**trainer, "lr_schedule": None}, warmup_steps=7, gamma=0.5)
    resume(trainer, warmup_steps=7)
    assert [line.step for line in load_runs(tmp_path)[0].evaluations] == [3]


def test_names_of_your_own_are_left_alone() -> None:
    loss = torch.nn.ModuleDict({"behaviour": torch.nn.Linear(1, 1), "beta": torch.nn.Linear(1, 1)})
    assert present_loss_state(loss.state_dict(), loss).keys() == loss.state_dict().keys()
    assert rename_entries({"behaviour": 1}, ["actor"]) == {"behaviour": 1}


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    checkpoint, policy = unzipped("bc", tmp_path), FORMER / "omiga.policy.pt"
    other = tmp_path / "other.pt"
    with pytest.raises(DataError, match=r"load_policy: .*without algorithm, arguments, spec, policy\. Pass"):
        load_policy(checkpoint)
    with pytest.raises(
        DataError, match=r"load_checkpoint: .*got a policy of the algorithm .omiga., without step"
    ):
        load_checkpoint(policy)
    for content in (b"", b"no pickle", policy.read_bytes()[:900]):
        other.write_bytes(content)
        for load in (load_policy, load_checkpoint):
            with pytest.raises(DataError, match=rf"{load.__name__}: .*other\.pt must be a whole file"):
                load(other)
    torch.save([1], other)
    with pytest.raises(DataError, match=r"with a dictionary of plain values, got a list\."):
        load_policy(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algorithm": "mine"}, r"got 'mine': .*unknown algorithm 'mine'.* Import the module"),
        ({"arguments": {"hiden": [4]}}, "unknown argument 'hiden'"),
        ({"spec": {"colour": 2}}, "unexpected keyword argument 'colour'"),
        ({"arguments": {"hidden": [5]}}, r"must hold the weights .*e\.g\. 'module"),
        ({"arguments": {"hidden": [4, 4]}}, r"must hold the weights .*e\.g\. 'module"),
        ({"format": 3}, "must be a policy of format 2, got one of format 3"),
    ],
)
def test_policies_that_do_not_fit(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    content = torch.load(FORMER / "omiga.policy.pt", weights_only=True)
    torch.save({**content, **change}, tmp_path / "policy.pt")
    with pytest.raises(DataError, match=rf"load_policy: .*policy\.pt.*{message}"):
        load_policy(tmp_path / "policy.pt")


def test_checkpoints_of_another_loss_change_nothing(tmp_path: Path) -> None:
    checkpoint = unzipped("bc", tmp_path)
    for trainer, message in (
        (trainer_of("bc", share_params=False), r"entries of this MultiAgentBCLoss, got '.*' of shape"),
        (trainer_of("bc", hidden_sizes=[4, 4]), r"got no '.*' and 3 more\. Build the loss"),
        (trainer_of("bc", hidden_sizes=[5]), r"of shape \(4, 5\) instead of \(5, 5\)"),
    ):
        before = {key: value.clone() for key, value in trainer.loss_module.state_dict().items()}
        with pytest.raises(DataError, match=message):
            trainer.load_from_file(checkpoint)
        after = trainer.loss_module.state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before) and trainer.step_count == 0
