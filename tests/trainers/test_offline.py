from __future__ import annotations

import io
import logging
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchrl.record.loggers import get_logger
from torchrl.trainers import Trainer
from torchrl.trainers.trainers import EarlyStopping, LogScalar

from omiga_torchrl.trainers import MetricWindow, OfflineTrainer
from tests.trainers.toy import ToyLoss, identical, parameter_groups, toy_buffer, toy_trainer


def test_is_a_trainer_and_learns() -> None:
    trainer = toy_trainer(200, log_interval=50)
    assert isinstance(trainer, Trainer)
    trainer.train()
    assert trainer.step_count == 200
    losses = list(trainer._log_dict["loss_a"])
    assert losses[-1] < 0.1 * float(losses[0])


def test_equals_separate_optimisers() -> None:
    """One backward and one Adam over disjoint groups are one of each per term."""
    trainer = toy_trainer(20, clip_grad_norm=0.1)
    torch.manual_seed(0)
    loss, buffer = ToyLoss(), toy_buffer()
    loss._has_update_associated = dict.fromkeys(loss._has_update_associated, True)
    groups = parameter_groups(loss)
    adams = {name: torch.optim.Adam(group, lr=1e-2) for name, group in groups.items()}
    torch.manual_seed(1)
    for _ in range(20):
        batch = buffer.sample()
        for name, adam in adams.items():
            loss(batch)[f"loss_{name}"].backward()
            nn.utils.clip_grad_norm_(groups[name], 0.1)
            adam.step()
            adam.zero_grad()
        with torch.no_grad():
            for name in ("a_network_params", "b_network_params"):
                source, target = getattr(loss, name), getattr(loss, f"target_{name}")
                for key, value in source.items(True, True):
                    target[key].data.lerp_(value.data, 0.1)
    torch.manual_seed(1)
    trainer.train()
    for one, other in zip(trainer.loss_module.parameters(), loss.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_learning_rate_per_group() -> None:
    trainer = toy_trainer(lr={"a": 0.1, "b": 0.2})
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.1, 0.2]
    assert trainer.optimizer.defaults["fused"]


def test_any_optimizer() -> None:
    factory = partial(torch.optim.AdamW, weight_decay=0.5, amsgrad=True)
    trainer, plain = toy_trainer(20, optimizer=factory), toy_trainer(20)
    assert type(trainer.optimizer) is torch.optim.AdamW
    groups = trainer.optimizer.param_groups
    assert [(group["name"], group["weight_decay"]) for group in groups] == [("a", 0.5), ("b", 0.5)]
    trainer.train()
    plain.train()
    assert not identical(trainer, plain)
    with pytest.raises(TypeError, match=r"must build a torch\.optim\.Optimizer .* got list"):
        toy_trainer(1, optimizer=lambda groups: groups)


@pytest.mark.parametrize("lr", [0.0, -0.001, float("nan"), float("inf"), {"a": 1e-3, "b": -1.0}])
def test_learning_rates_are_positive_and_finite(lr: float | dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"lr of group '[ab]' must be positive and finite, got"):
        toy_trainer(1, lr=lr)


def test_cosine_schedule(tmp_path: Path) -> None:
    def build(steps: int) -> OfflineTrainer:
        trainer = toy_trainer(20, lr={"a": 0.1, "b": 0.2}, lr_schedule="cosine")
        trainer.total_frames = steps
        return trainer

    whole = build(20)
    whole.train()
    half = build(10)
    half.train()
    saved = half.save(tmp_path / "half.pt")
    resumed = build(20)
    assert [group["lr"] for group in half.optimizer.param_groups] == pytest.approx([0.05, 0.1])
    resumed.load_from_file(saved)
    resumed.train()
    assert identical(whole, resumed)
    assert whole.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="unknown lr_schedule 'cosin'; did you mean 'cosine'"):
        toy_trainer(1, lr_schedule="cosin")


def test_group_errors() -> None:
    loss = ToyLoss()
    groups = parameter_groups(loss)

    def build(groups: dict[str, list[nn.Parameter]], **kwargs: object) -> None:
        OfflineTrainer(
            loss_module=loss, replay_buffer=toy_buffer(), parameter_groups=groups, total_steps=1, **kwargs
        )

    with pytest.raises(ValueError, match="in the groups 'a' and 'b'; expected disjoint"):
        build({"a": groups["a"], "b": groups["b"] + groups["a"][:1]})
    with pytest.raises(ValueError, match=r"4 trainable parameters are in no group.*b_network_params"):
        build({"a": groups["a"]})
    with pytest.raises(ValueError, match="no trainable parameter of ToyLoss"):
        build({"a": [nn.Parameter(torch.zeros(3))]})
    with pytest.raises(ValueError, match="parameter_groups is empty"):
        build({})
    with pytest.raises(ValueError, match="group 'b' is empty"):
        build({"a": groups["a"], "b": []})
    with pytest.raises(ValueError, match="did you mean 'actor'"):
        build({"actor": groups["a"] + groups["b"]}, lr={"actr": 1.0})
    with pytest.raises(ValueError, match=r"got none for \['b'\]"):
        build(groups, lr={"a": 1.0})
    with pytest.raises(ValueError, match="total_steps is 0"):
        toy_trainer(0)
    with pytest.raises(ValueError, match="clip_grad_norm must be a positive norm or None, got -1"):
        build(groups, clip_grad_norm=-1.0)
    with pytest.raises(TypeError, match="target_updater must be a TargetNetUpdater or None, got function"):
        build(groups, target_updater=lambda: None)


def test_every_hook_stage_runs_each_step() -> None:
    trainer, calls = toy_trainer(3), []
    stages = {
        **dict.fromkeys(("setup", "shutdown"), 1),
        **dict.fromkeys(
            ("batch_process", "pre_steps_log", "pre_optim_steps", "pre_epoch_log", "pre_epoch"), 3
        ),
        **dict.fromkeys(("process_optim_batch", "post_optim", "post_optim_log", "post_epoch_log"), 3),
        **dict.fromkeys(("post_epoch", "post_optim_complete_log", "post_steps", "post_steps_log"), 3),
    }
    for stage in stages:
        trainer.register_op(stage, lambda *args, stage=stage: calls.append(stage))
    trainer.train()
    assert {stage: calls.count(stage) for stage in stages} == stages
    with pytest.raises(ValueError, match="'post_loss' is never run"):
        trainer.register_op("post_loss", lambda batch: batch)


def test_torchrl_hooks_work(tmp_path: Path) -> None:
    trainer = toy_trainer(1000, log_interval=10, logger=get_logger("csv", str(tmp_path), "run"))
    LogScalar("x", "x_mean").register(trainer)
    trainer.register_op("post_optim_log", LogScalar("x", "x_sampled"))
    EarlyStopping(monitor="loss_a", mode="min", patience=5, min_delta=10.0, wait_for=20).register(trainer)
    trainer._pre_steps_log_ops.clear()  # LogScalar's default stage sees the empty collected batch
    trainer.train()
    assert 20 <= trainer.step_count < 100
    assert (tmp_path / "run" / "scalars" / "x_sampled.csv").exists()


def test_logs_are_means_over_the_interval(tmp_path: Path) -> None:
    values: list[float] = []
    trainer = toy_trainer(20, log_interval=10, logger=get_logger("csv", str(tmp_path), "run"))
    trainer.register_op("post_optim_complete_log", lambda _, losses: values.append(float(losses["loss_a"])))
    trainer.train()
    lines = (tmp_path / "run" / "scalars" / "loss_a.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines] == [10, 20]
    assert float(lines[0].split(",")[1]) == pytest.approx(np.mean(values[:10]))
    assert float(lines[1].split(",")[1]) == pytest.approx(np.mean(values[10:]))
    names = {
        str(f.relative_to(tmp_path / "run" / "scalars")) for f in (tmp_path / "run/scalars").rglob("*.csv")
    }
    assert {"grad_norm_a.csv", "per_agent/0.csv", "per_agent/1.csv", "spread.csv"} <= names


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    toy_trainer(4, log_interval=2, logger=get_logger("tensorboard", str(tmp_path), "run")).train()
    assert list((tmp_path / "run").glob("events*"))


def test_two_trainers_share_nothing() -> None:
    one, other = toy_trainer(5, log_interval=1), toy_trainer(5, log_interval=1)
    one.train()
    assert one._last_log and not other._last_log
    assert not other._log_dict and other.step_count == 0 and type(other).collected_frames == 0


def test_logs_are_bounded_and_detached() -> None:
    trainer = toy_trainer(300, log_interval=1)
    trainer.train()
    assert max(len(values) for values in trainer._log_dict.values()) <= 100
    assert all(
        not getattr(v, "requires_grad", False) for values in trainer._log_dict.values() for v in values
    )


def test_seed_decides_everything() -> None:
    one = toy_trainer(10)
    one.train()
    draws = (torch.rand(1), np.random.rand(), random.random())
    other = toy_trainer(10)
    other.train()
    assert identical(one, other)
    assert draws == (torch.rand(1), np.random.rand(), random.random())


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    trainer = toy_trainer(5, log_interval=1, progress_bar=True)
    trainer.register_op("post_steps", lambda: trainer.show(**{"return": 2.5}))
    trainer.train()
    shown = capsys.readouterr().err
    assert "5/5" in shown and "loss=" in shown and "return=2.5" in shown and "step/s" in shown


def test_loss_errors() -> None:
    class Unnamed(ToyLoss):
        def forward(self, tensordict):  # type: ignore[no-untyped-def]
            return super().forward(tensordict).select("spread")

    class Unreduced(ToyLoss):
        def forward(self, tensordict):  # type: ignore[no-untyped-def]
            out = super().forward(tensordict)
            return out.set("loss_a", out["loss_a"].expand(3))

    for cls, message in (
        (Unnamed, r"gave spread; expected an entry 'loss\*'"),
        (Unreduced, r"'loss_a'.*\(3,\)"),
    ):
        loss = cls()
        trainer = OfflineTrainer(
            loss_module=loss,
            replay_buffer=toy_buffer(),
            parameter_groups=parameter_groups(loss),
            total_steps=1,
            progress_bar=False,
        )
        loss._has_update_associated = dict.fromkeys(loss._has_update_associated, True)
        with pytest.raises(ValueError, match=message):
            trainer.train()


def test_metric_window() -> None:
    window = MetricWindow()
    window.add({"a": torch.tensor(1.0), "v": torch.tensor([1.0, 2.0])})
    window.add({"a": torch.tensor(2.0), "v": torch.tensor([3.0, 4.0])})
    window.add({"n": torch.tensor(7)})
    copy = MetricWindow()
    copy.load_state_dict(window.state_dict())
    assert copy.flush() == window.flush() == {"a": 1.5, "v/0": 2.0, "v/1": 3.0, "n": 7.0}
    assert window.flush() == {}


def test_metric_window_sums_many_steps_as_it_goes_on_from_a_checkpoint() -> None:
    window, copy = MetricWindow(), MetricWindow()
    changing = torch.zeros(())
    for step in range(200):
        changing.fill_(step)  # a metric that its owner changes in place
        window.add({"v": torch.tensor([1.0, step]), "a": changing})
        if step == 99:
            copy.load_state_dict(torch.load(saved(window.state_dict()), weights_only=True))
        elif step > 99:
            copy.add({"v": torch.tensor([1.0, step]), "a": changing})
    assert copy.flush() == window.flush() == {"v/0": 1.0, "v/1": 99.5, "a": 99.5}


def saved(state: object) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


logging.getLogger("torchrl").setLevel(logging.ERROR)
