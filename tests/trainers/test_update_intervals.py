"""Delayed groups and targets: what moves at which step, by hand, and in a resumed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torchrl.data import LazyTensorStorage, ReplayBuffer

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import GroupedStepper, OfflineTrainer, train_step
from tests.trainers.toy import identical, toy_trainer


class Counter:
    """A target updater that counts."""

    steps = 0

    def step(self) -> None:
        self.steps += 1


def weights_after(
    factory: Any, steps: int, intervals: dict[str, int] | None, **options: Any
) -> tuple[list[tuple[float, float]], int, torch.optim.Optimizer]:
    """Weights `a`, `b` of the loss `3 a + 3 b` after each step, from 0."""
    a, b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
    optimizer, updater, found = factory([a, b], lr=1.0), Counter(), []
    for step in range(1, steps + 1):
        out = train_step(
            lambda batch: TensorDict({"loss_a": 3 * a, "loss_b": 3 * b}),
            TensorDict({}, [1]),
            optimizer,
            parameter_groups={"a": [a], "b": [b]},
            clip_grad_norm=None,
            target_updater=updater,
            step=step,
            update_intervals=intervals,
            **options,
        )
        assert float(out["grad_norm_a"]) == float(out["grad_norm_b"]) == 3.0
        assert a.grad is None and b.grad is None
        found.append((a.item(), b.item()))
    return found, updater.steps, optimizer


def test_sgd_by_hand() -> None:
    found, updates, _ = weights_after(torch.optim.SGD, 6, {"b": 2, "targets": 3})
    # The gradients of steps that are not due are dropped, not gathered.
    assert found == [(-3, 0), (-6, -3), (-9, -3), (-12, -6), (-15, -6), (-18, -9)] and updates == 2
    assert weights_after(torch.optim.SGD, 2, None)[:2] == ([(-3, -3), (-6, -6)], 2)


def test_adam_knows_nothing_of_steps_that_are_not_due() -> None:
    found, _, optimizer = weights_after(torch.optim.Adam, 5, {"b": 2})
    # Adam's step for a constant gradient is the learning rate, 1.
    assert [one for pair in found for one in pair] == pytest.approx([-1, 0, -2, -1, -3, -1, -4, -2, -5, -2])
    assert [float(state["step"]) for state in optimizer.state.values()] == [5.0, 2.0]


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ({"bb": 2}, "unknown name in update_intervals 'bb'; did you mean 'b'"),
        ({"targets": 2}, r"unknown name in update_intervals 'targets'\. Choose from: a, b\."),
        ({"a": 0}, r"update_intervals\['a'\] is 0; expected at least 1"),
    ],
)
def test_other_names_and_intervals_are_refused(intervals: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroupedStepper({"a": [], "b": []}, update_intervals=intervals)
    if "targets" not in intervals:
        with pytest.raises(ValueError, match=message):
            toy_trainer(update_intervals=intervals)
        with pytest.raises(ValueError, match=message):
            weights_after(torch.optim.SGD, 1, intervals)


def test_a_resumed_run_goes_on_in_the_same_rhythm(tmp_path: Path) -> None:
    intervals = {"a": 3, "targets": 2}
    whole = toy_trainer(10, update_intervals=intervals)
    whole.train()
    part = toy_trainer(4, update_intervals=intervals)  # neither 3 nor its rest is a multiple of 4
    part.train()
    saved = part.save(tmp_path / "step_4.pt")
    resumed = toy_trainer(10, update_intervals=intervals)
    resumed.load_from_file(saved)
    resumed.train()
    assert identical(whole, resumed)
    every = toy_trainer(10)
    every.train()
    assert not identical(whole, every)


def test_the_actor_of_rebrac_moves_every_second_step_only() -> None:
    spec = TeamSpec(2, 3, 1, 4)
    parts = make_algorithm("rebrac", spec, hidden_sizes=[4])
    buffer = ReplayBuffer(storage=LazyTensorStorage(8), batch_size=4)
    buffer.extend(spec.fake_batch(8, 3))
    targets = list(parts.loss.target_qvalue_network_params.values(True, True))
    watched = {**parts.parameter_groups, "targets": targets}
    before = {name: [one.detach().clone() for one in group] for name, group in watched.items()}
    moved: list[list[str]] = []

    def watch() -> None:
        moved.append([])
        for name, group in watched.items():
            if not all(torch.equal(a, b) for a, b in zip(before[name], group, strict=True)):
                moved[-1].append(name)
            before[name] = [one.detach().clone() for one in group]

    trainer = OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=5,
        progress_bar=False,
    )
    trainer.register_op("post_steps", watch)
    trainer.train()
    rest, due = ["qvalue"], ["actor", "qvalue", "targets"]
    assert moved == [rest, due, rest, due, rest]
