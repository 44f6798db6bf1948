from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.data.replay_buffers import SamplerWithoutReplacement
from torchrl.trainers import Trainer

from omiga_torchrl.trainers import (
    CheckpointHook,
    EvaluationHook,
    HookedTrainer,
    NaNGuardHook,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from tests.trainers.toy import identical, toy_trainer

OPTIMIZERS = {
    "adam": None,
    "adamw": partial(torch.optim.AdamW, weight_decay=0.1),
    "rmsprop": partial(torch.optim.RMSprop, momentum=0.9),
}


@pytest.mark.parametrize(
    ("without_replacement", "optimizer"),
    [(False, "adam"), (True, "adam"), (False, "adamw"), (False, "rmsprop")],
)
def test_resume_is_exact(tmp_path: Path, without_replacement: bool, optimizer: str) -> None:
    factory = OPTIMIZERS[optimizer]

    def sampler() -> SamplerWithoutReplacement | None:
        return SamplerWithoutReplacement() if without_replacement else None

    whole = toy_trainer(20, sampler(), optimizer=factory)
    whole.train()
    draws = (torch.rand(3), np.random.rand(), random.random())

    toy_trainer(10, sampler(), optimizer=factory, save_dir=tmp_path, save_interval=5).train()
    resumed = toy_trainer(20, sampler(), optimizer=factory, seed=99)
    torch.rand(5), np.random.rand(), random.random()
    resumed.load_from_file(latest_checkpoint(tmp_path))
    assert resumed.step_count == 10
    resumed.train()
    assert identical(whole, resumed)
    assert torch.equal(draws[0], torch.rand(3)) and draws[1:] == (np.random.rand(), random.random())


def test_resume_with_the_buffers_own_generator(tmp_path: Path) -> None:
    def build(steps: int) -> object:
        trainer = toy_trainer(steps)
        trainer.replay_buffer.set_rng(torch.Generator().manual_seed(3))
        return trainer

    whole, half, resumed = build(20), build(10), build(20)
    whole.train()
    half.train()
    resumed.load_from_file(half.save(tmp_path / "half.pt"))
    resumed.train()
    assert identical(whole, resumed)


def test_resumed_log_continues(tmp_path: Path) -> None:
    whole = toy_trainer(20, log_interval=8)
    whole.train()
    half, resumed = toy_trainer(12, log_interval=8), toy_trainer(20, log_interval=8)
    half.register_op("post_steps_log", lambda _: half.save(tmp_path / "half.pt") and None)
    half.train()
    resumed.load_from_file(tmp_path / "half.pt")
    resumed.train()
    assert resumed._log_dict["loss_a"][-2] == pytest.approx(whole._log_dict["loss_a"][-2])


def test_keep_and_metadata(tmp_path: Path) -> None:
    trainer = toy_trainer(10, checkpoint_metadata={"dataset": "mixed", "sha256": "ab"})
    CheckpointHook(tmp_path, 3, keep=2).register(trainer)
    trainer.train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000009.pt", "step_00000010.pt"]
    content = load_checkpoint(latest_checkpoint(tmp_path))
    assert content["metadata"] == {"dataset": "mixed", "sha256": "ab"} and content["step"] == 10


def test_more_than_two_checkpoints_are_kept(tmp_path: Path) -> None:
    toy_trainer(10, save_dir=tmp_path, save_interval=2, keep_checkpoints=4).train()
    assert sorted(int(path.stem[5:]) for path in tmp_path.iterdir()) == [4, 6, 8, 10]


def test_checkpoint_holds_no_data(tmp_path: Path) -> None:
    file = toy_trainer(1).save(tmp_path / "a.pt")
    assert file.stat().st_size < 60_000


def test_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save_checkpoint(tmp_path / "a.pt", {}, step=1, metadata={})

    def crash(content: object, file: object) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(file, {}, step=2, metadata={})
    monkeypatch.undo()
    assert load_checkpoint(file)["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_load_errors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {}, step=1, metadata={})
    with pytest.raises(FileNotFoundError, match=r"no file .*b\.pt; found a\.pt"):
        load_checkpoint(tmp_path / "b.pt")
    torch.save({"weights": torch.ones(1)}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="must be a checkpoint, got a bare state_dict"):
        load_checkpoint(tmp_path / "c.pt")
    saved = toy_trainer(1).save(tmp_path / "d.pt")
    other = toy_trainer(1)
    EvaluationHook(lambda: {}, 1).register(other)
    with pytest.raises(ValueError, match=r"no state of the hooks \['evaluation'\]"):
        other.load_from_file(saved)
    state = toy_trainer(1).state_dict()
    state["optimizer"]["param_groups"][0]["name"] = "z"
    with pytest.raises(ValueError, match=r"has the parameter groups \[\('z', 4\)"):
        toy_trainer(1).load_state_dict(state)


def test_prefetch_is_warned_about(tmp_path: Path) -> None:
    trainer = toy_trainer(1)
    trainer.replay_buffer = ReplayBuffer(storage=LazyTensorStorage(4), batch_size=2, prefetch=1)
    with pytest.warns(UserWarning, match="prefetches"):
        CheckpointHook(tmp_path, 1).register(trainer)


@pytest.mark.parametrize("interval", [1, 4, 100])
def test_nan_guard_names_term_and_step(tmp_path: Path, interval: int) -> None:
    trainer = toy_trainer(50, nan_check_interval=interval, save_dir=tmp_path, save_interval=20)

    def poison(batch):  # type: ignore[no-untyped-def]
        if trainer.step_count == 7:
            with torch.no_grad():
                next(trainer.loss_module.b_network_params.parameters()).fill_(float("nan"))
        return batch

    trainer.register_op("process_optim_batch", poison)
    with pytest.raises(FloatingPointError, match=r"'loss_b' is nan at step 7"):
        trainer.train()
    assert not list(tmp_path.glob("*.pt"))


def test_nan_guard_sees_gradients() -> None:
    guard = NaNGuardHook(2)
    trainer = toy_trainer(4, nan_check_interval=None)
    guard.register(trainer)
    parameter = next(trainer.loss_module.a_network_params.parameters())
    parameter.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(FloatingPointError, match="grad_norm_a"):
        trainer.train()


def test_the_nan_guard_looks_at_exactly_its_interval() -> None:
    guard, bad = NaNGuardHook(3), TensorDict({"loss_a": torch.tensor(torch.nan)})
    guard(1, bad)
    guard(2, bad)
    with pytest.raises(FloatingPointError, match="'loss_a' is nan at step 1"):
        guard(3, bad)


@pytest.mark.parametrize(("kib", "kept"), [(1, 10), (300, 3), (2048, 1)])
def test_the_nan_guard_keeps_a_mebibyte_of_batches_and_one_at_least(kib: int, kept: int) -> None:
    guard = NaNGuardHook(10)
    for _ in range(12):
        guard.keep_batch(TensorDict({"x": torch.zeros(kib, 256)}, [kib]))
    assert len(guard._batches) == kept


def test_hook_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="EvaluationHook: interval must be at least 1, got 0"):
        EvaluationHook(lambda: {}, 0)
    with pytest.raises(ValueError, match="keep=0"):
        CheckpointHook(tmp_path, 1, keep=0)
    with pytest.raises(TypeError, match="must have the members of HookedTrainer"):
        EvaluationHook(lambda: {}, 1).register(Trainer.__new__(Trainer))


class OwnTrainer:
    """A trainer of somebody else's that has the members of `HookedTrainer`."""

    def __init__(self) -> None:
        self.replay_buffer, self.step_count = None, 0
        self.ops: list[tuple[str, object]] = []
        self.calls: list[object] = []

    def check_finite(self) -> None:
        self.calls.append("checked")

    def log_now(self, metrics: dict[str, float]) -> None:
        self.calls.append(metrics)

    def show(self, **values: float) -> None:
        self.calls.append(values)

    def save(self, path: Path) -> Path:
        self.calls.append(path.name)
        return path

    def register_module(self, module_name: str, module: object) -> None:
        self.calls.append(module_name)

    def register_op(self, dest: str, op: object) -> None:
        self.ops.append((dest, op))


def test_hooks_know_only_the_protocol(tmp_path: Path) -> None:
    trainer = OwnTrainer()
    assert isinstance(trainer, HookedTrainer) and isinstance(toy_trainer(1), HookedTrainer)
    EvaluationHook(lambda: {"return": 1.5}, 2).register(trainer)
    CheckpointHook(tmp_path, 2).register(trainer)
    assert trainer.calls == ["evaluation", "checkpoint"]
    trainer.step_count = 2
    for stage, op in trainer.ops:
        if stage.startswith("post"):
            op()
    wanted = ["checked", {"evaluation/return": 1.5}, {"return": 1.5}, "step_00000002.pt"]
    assert trainer.calls[2:] == wanted


def test_the_trainer_registers_the_hooks_that_it_is_given(tmp_path: Path) -> None:
    seen: list[int] = []
    hook = EvaluationHook(lambda: {"return": 1.0}, 3, on_result=lambda step, _: seen.append(step))
    trainer = toy_trainer(6, hooks=[hook], save_dir=tmp_path, save_interval=6)
    trainer.train()
    assert seen == [3, 6]
    # The checkpoint of a step knows of the step's evaluation.
    assert load_checkpoint(latest_checkpoint(tmp_path))["trainer"]["evaluation"] == {"last_step": 6}
