"""What a trainer logs: at which step, what the progress bar shows, what history it keeps."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.trainers import OfflineTrainer
from omiga_torchrl.trainers.logged import HISTORY
from tests.trainers.toy import toy_trainer


class Lines:
    """A logger that keeps its lines, and fails from a step on."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.lines: list[tuple[str, float, int]] = []
        self.fails_at = fails_at

    def log_scalar(self, name: str, value: float, step: int) -> None:
        if step >= self.fails_at:
            raise OSError("no space left")
        self.lines.append((name, value, step))


class Bar:
    """A progress bar that keeps what it shows."""

    def __init__(self) -> None:
        self.text: dict[str, str] = {}
        self.closed, self.steps = False, 0

    def set_postfix(self, text: dict[str, str], refresh: bool) -> None:
        self.text = dict(text)

    def update(self, steps: int) -> None:
        self.steps += steps

    def close(self) -> None:
        self.closed = True


def trainer_of(steps: int = 4, logger: Any = None, **kwargs: Any) -> tuple[OfflineTrainer, Bar]:
    trainer = toy_trainer(steps, logger=logger, **kwargs)
    trainer._bar = bar = Bar()
    return trainer, bar


def test_a_line_is_written_at_every_interval_and_at_the_end() -> None:
    logger = Lines()
    toy_trainer(7, logger=logger, log_interval=3).train()
    assert [step for name, _, step in logger.lines if name == "loss_a"] == [3, 6, 7]
    assert {"per_agent/0", "per_agent/1", "spread"} <= {name for name, _, _ in logger.lines}


def test_lines_are_means_of_all_that_was_logged() -> None:
    logger = Lines()
    trainer, _ = trainer_of(logger=logger)
    for value in (1.0, 3.0):
        trainer._log(own=value, other=torch.tensor(2 * value))
    trainer.collected_frames = 5
    trainer._flush_log()
    assert sorted(logger.lines) == [("other", 4.0, 5), ("own", 2.0, 5)]
    assert trainer._last_log["own"] == 5


def test_scalars_may_be_written_at_an_earlier_step() -> None:
    logger = Lines()
    trainer, _ = trainer_of(logger=logger)
    trainer.collected_frames = 9
    trainer.log_now({"a": 1.0})
    trainer.log_now({"a": 2.0}, step=4)
    trainer.log_now({"a": 3.0}, step=0)
    assert logger.lines == [("a", 1.0, 9), ("a", 2.0, 4), ("a", 3.0, 0)]
    assert list(trainer._log_dict["a"]) == [1.0, 2.0, 3.0] and trainer._last_log["a"] == 0
    trainer.logger = None
    trainer.log_now({"a": 4.0})
    assert len(logger.lines) == 3 and trainer._log_dict["a"][-1] == 4.0


def test_a_logger_that_fails_is_left_and_the_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    logger = Lines(fails_at=2)
    trainer = toy_trainer(4, logger=logger, log_interval=1)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.step_count == 4 and trainer.logger is None
    assert {step for *_, step in logger.lines} == {1} and caplog.text.count("goes on without it") == 1
    assert len(trainer._log_dict["loss_a"]) > 2


def test_the_bar_shows_the_sum_of_the_terms_and_what_was_asked_for() -> None:
    trainer, bar = trainer_of()
    trainer._log(log_pbar=True, wanted=1.5)
    trainer._log(unwanted=7.0, loss_a=1.0, loss_b=2.25)
    trainer._flush_log()
    assert bar.text == {"wanted": "1.5", "loss": "3.25"}
    trainer.show(**{"return": 12345.678})
    assert bar.text == {"wanted": "1.5", "loss": "3.25", "return": "1.235e+04"}
    # What is not in this window stays as it was.
    trainer._log(unwanted=1.0)
    trainer._flush_log()
    assert bar.text["wanted"] == "1.5" and bar.text["loss"] == "3.25"


def test_without_a_term_there_is_no_loss_to_show() -> None:
    trainer, bar = trainer_of()
    trainer._log(log_pbar=False, gradient=1.0)
    trainer._flush_log()
    assert bar.text == {}


def test_history_is_bounded_and_detached() -> None:
    trainer, _ = trainer_of()
    for value in range(HISTORY + 5):
        trainer.log_now({"a": float(value)})
    assert len(trainer._log_dict["a"]) == HISTORY == 100 and trainer._log_dict["a"][0] == 5.0
    trainer._collect({"b": torch.ones((), requires_grad=True)})
    trainer._collect({"b": torch.zeros(())})
    assert list(trainer._log_dict["b"]) == [1.0] and not trainer._log_dict["b"][0].requires_grad


def test_only_scalars_and_vectors_are_logged() -> None:
    trainer, _ = trainer_of()
    trainer._collect(
        {"matrix": torch.ones(2, 2), "text": "a", "vector": torch.ones(2), "scalar": torch.ones(())}
    )
    assert trainer._window.flush() == {"vector/0": 1.0, "vector/1": 1.0, "scalar": 1.0}


def test_hooks_log_what_they_return_and_losses_only_where_that_is_wanted() -> None:
    trainer, _ = trainer_of()
    trainer.register_op("post_optim_complete_log", lambda steps, losses: {"seen": float(steps)})
    trainer.register_op("post_optim_complete_log", lambda steps, losses: None)
    losses = TensorDict({"loss_a": torch.tensor(2.0)})
    trainer._post_optim_complete_log_hook(3, losses)
    assert trainer._window.flush() == {"seen": 3.0, "loss_a": 2.0}
    trainer._post_optim_complete_log_hook(4, None)
    assert trainer._window.flush() == {"seen": 4.0}
    trainer.auto_log_optim_steps = False
    trainer._post_optim_complete_log_hook(5, losses)
    assert trainer._window.flush() == {"seen": 5.0}


def test_two_trainers_share_nothing() -> None:
    one, other = toy_trainer(1), toy_trainer(1)
    one.train()
    one.log_now({"own": 1.0})
    assert other.step_count == 0 and other._optim_count == 0 and other._last_save == 0
    assert not other._log_dict and not other._last_log and other._window.flush() == {}


class _Terminal:
    def __init__(self, is_one: bool) -> None:
        self.is_one = is_one

    def isatty(self) -> bool:
        return self.is_one


@pytest.mark.parametrize(("is_terminal", "pause"), [(True, 0.1), (False, 10.0)])
def test_a_bar_goes_on_where_the_training_does(
    is_terminal: bool, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, Any]] = []
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: opened.append(options) or Bar())
    trainer = toy_trainer(20)
    trainer._open_bar()
    assert not opened and trainer._bar is None
    trainer.progress_bar, trainer.collected_frames = True, 7
    monkeypatch.setattr(sys, "stderr", _Terminal(is_terminal))
    trainer._open_bar()
    assert opened == [{"total": 20, "initial": 7, "unit": "step", "mininterval": pause}]
    bar = trainer._bar
    trainer._close_bar()
    assert bar.closed and trainer._bar is None
    trainer._close_bar()
