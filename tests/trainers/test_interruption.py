"""Signals end a training between two steps, with a checkpoint from which it goes on bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from torchrl.trainers import TrainerHookBase

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import OfflineTrainer, latest_checkpoint
from omiga_torchrl.trainers.interruption import TrainingInterrupted, clean_interruption, deferred_signals
from omiga_torchrl.trainers.together import RunGroup
from tests.trainers.toy import ToyLoss, parameter_groups, snapshot, toy_buffer


@pytest.fixture(autouse=True)
def _signals_are_not_ignored():
    """As in a terminal: under ``nohup`` and in background jobs of a shell some are."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for one in before:
        signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


class Raise(TrainerHookBase):
    """Sends a signal to this process during a step."""

    def __init__(self, step: int, *signals: int) -> None:
        self.step, self.signals = step, signals

    def __call__(self) -> None:
        if self.trainer.step_count == self.step:
            for one in self.signals:
                with TensorDict({"a": torch.zeros(1)}, []).unlock_():  # whose exit hides an exception
                    signal.raise_signal(one)

    def register(self, trainer, name="raise") -> None:
        self.trainer = trainer
        trainer.register_op("post_steps", self)


def trainer(folder: Path | None = None, hooks=(), steps: int = 12, **options) -> OfflineTrainer:
    torch.manual_seed(0)
    loss = ToyLoss(8)
    return OfflineTrainer(
        loss_module=loss,
        replay_buffer=toy_buffer(batch_size=16),
        parameter_groups=parameter_groups(loss),
        target_updater=ForeachSoftUpdate(loss, tau=0.1),
        total_steps=steps,
        progress_bar=False,
        seed=0,
        save_dir=folder,
        hooks=hooks,
        **{"compile": "none", **options},
    )


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_the_run_goes_on_to_the_same_end(tmp_path: Path, signum: int, code: int) -> None:
    whole = trainer()
    whole.train()
    before = signal.getsignal(signum)
    stopped = trainer(tmp_path, [Raise(5, signum)])
    with pytest.raises(
        TrainingInterrupted, match=r"stopped after step 5, saved as .*step_00000005\.pt"
    ) as caught:
        stopped.train()
    assert caught.value.exit_code == code and signal.getsignal(signum) is before
    resumed = trainer(tmp_path).load_from_file(latest_checkpoint(tmp_path))
    resumed.train()
    assert all(torch.equal(a, b) for a, b in zip(snapshot(whole), snapshot(resumed), strict=True))


def test_without_checkpoints_it_stops_as_well() -> None:
    one = trainer(hooks=[Raise(3, signal.SIGTERM)])
    with pytest.raises(KeyboardInterrupt):
        one.train()
    assert one.step_count == 3


def test_a_second_signal_does_not_wait() -> None:
    one = trainer(hooks=[Raise(3, signal.SIGINT, signal.SIGINT)])
    with pytest.raises(TrainingInterrupted) as caught:
        one.train()
    assert caught.value.signum == signal.SIGINT


@pytest.mark.slow
def test_runs_that_train_together_save_one_checkpoint_each(tmp_path: Path) -> None:
    group = RunGroup()
    group.add(trainer(tmp_path / "a", steps=4))
    group.add(trainer(tmp_path / "b", [Raise(4, signal.SIGTERM)], steps=12))
    with pytest.raises(TrainingInterrupted):
        group.train()
    assert (
        latest_checkpoint(tmp_path / "a").name == latest_checkpoint(tmp_path / "b").name == "step_00000004.pt"
    )


def test_an_error_that_hides_a_signal_is_the_signal() -> None:
    with pytest.raises(TrainingInterrupted) as caught, clean_interruption():
        try:
            signal.raise_signal(signal.SIGTERM)
        except TrainingInterrupted:
            raise RuntimeError("Converting a tensordict to boolean value is not permitted") from None
    assert caught.value.exit_code == 143


def test_other_errors_and_ignored_signals_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="mine"), clean_interruption():
        raise RuntimeError("mine")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with clean_interruption():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_after_the_last_look_is_not_lost() -> None:
    with pytest.raises(TrainingInterrupted), deferred_signals():
        signal.raise_signal(signal.SIGTERM)
