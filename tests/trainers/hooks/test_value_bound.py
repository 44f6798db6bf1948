"""The hook that watches learned values."""

from __future__ import annotations

import logging

import pytest
import torch
from tensordict import TensorDict

from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.trainers import OfflineTrainer, ValueBoundHook
from tests.trainers.toy import ToyLoss, parameter_groups, toy_buffer

BOUNDS = {"value_lower_bound": -1.0, "value_bound": 10.0}


def feed(hook: ValueBoundHook, values: list[float], start: int = 1) -> list[object]:
    steps = enumerate(values, start)
    return [hook(step, TensorDict({"global_value": torch.tensor(value)})) for step, value in steps]


def test_it_looks_at_means_between_two_looks(caplog: pytest.LogCaptureFixture) -> None:
    hook = ValueBoundHook(-1.0, 10.0, interval=4)
    with caplog.at_level(logging.WARNING):
        assert feed(hook, [30.0, 0.0, 0.0, 9.0]) == [None, None, None, BOUNDS]
        assert hook.left_at is None and not caplog.records
        feed(hook, [30.0, 0.0, 0.0, 11.0], start=5)
    assert hook.left_at == 8
    assert "(global_value 10.25 at step 8) are above 10, the largest discounted return" in caplog.text


def test_it_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    hook = ValueBoundHook(0.0, 1.0, interval=1)
    with caplog.at_level(logging.WARNING):
        feed(hook, [2.0, 3.0, 0.0, 4.0])
    assert len(caplog.records) == 1 and hook.left_at == 1


def test_values_below_the_data_are_told(caplog: pytest.LogCaptureFixture) -> None:
    hook = ValueBoundHook(-3.0, 10.0, interval=1)
    with caplog.at_level(logging.WARNING):
        feed(hook, [-3.0, -4.0])
    assert "(global_value -4 at step 2) are below -3, the smallest discounted return" in caplog.text
    assert "they are underestimated" in caplog.text


def test_values_that_are_no_numbers_are_left_to_the_guard() -> None:
    hook = ValueBoundHook(0.0, 1.0, interval=1)
    feed(hook, [float("nan")])
    assert hook.left_at is None


@pytest.mark.parametrize(("low", "high", "outside"), [(-9.0, -5.0, -9.5), (5.0, 9.0, 9.5)])
def test_networks_begin_at_zero_without_a_warning(low: float, high: float, outside: float) -> None:
    hook = ValueBoundHook(low, high, interval=1)
    feed(hook, [0.0, low / 2, low, high, high / 2])
    assert hook.left_at is None
    feed(hook, [outside], start=6)
    assert hook.left_at == 6


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"at least lower_bound, got -1.0 and 2.0.*The lower bound comes first"
    ):
        ValueBoundHook(2.0, -1.0)


def test_losses_without_values_are_left_alone() -> None:
    hook = ValueBoundHook(-2.0, -1.0, interval=1)
    assert hook(1, TensorDict({"loss_actor": torch.tensor(5.0)})) is None and hook.left_at is None


def test_on_a_trainer_it_changes_no_checkpoint() -> None:
    torch.manual_seed(0)
    loss = ToyLoss()
    trainer = OfflineTrainer(
        loss_module=loss,
        replay_buffer=toy_buffer(batch_size=16),
        parameter_groups=parameter_groups(loss),
        target_updater=ForeachSoftUpdate(loss, tau=0.1),
        total_steps=4,
        progress_bar=False,
        compile="none",
    )
    before = set(trainer.state_dict())
    ValueBoundHook(0.0, 1.0).register(trainer)
    trainer.train()
    assert set(trainer.state_dict()) == before


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        ValueBoundHook(0.0, 1.0, interval=0)
