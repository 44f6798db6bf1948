"""When the guard looks, what it looks at, which step it names, and how often it may skip."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from omiga_torchrl.trainers import CheckpointHook, NaNGuardHook, NonFiniteError
from tests.trainers.toy import toy_trainer

NAN, INF = float("nan"), float("inf")


def step(**losses: float) -> TensorDict:
    return TensorDict({name: torch.tensor(value) for name, value in losses.items()})


def fed(guard: NaNGuardHook, *values: float) -> NaNGuardHook:
    for number, value in enumerate(values, 1):
        guard(number, step(loss_a=value))
    return guard


@pytest.mark.parametrize("interval", [1, 3])
def test_it_looks_after_exactly_its_interval(interval: int) -> None:
    guard = fed(NaNGuardHook(interval), *[NAN] * (interval - 1))
    with pytest.raises(NonFiniteError, match=r"'loss_a' is nan at step 1") as caught:
        guard(interval, step(loss_a=1.0 if interval > 1 else NAN))
    assert caught.value.step == 1


def test_what_was_looked_at_is_forgotten() -> None:
    guard = fed(NaNGuardHook(2), 1.0, 2.0, NAN)
    guard._unchecked.clear()
    guard.check()
    fed(guard, 1.0, 1.0)
    assert not guard._unchecked
    with pytest.raises(NonFiniteError):
        fed(guard, NAN).check()
    guard.check()


def test_defaults() -> None:
    guard = NaNGuardHook()
    assert guard.interval == 100 and guard.on_nonfinite == "raise"
    assert guard.skipped == guard.rollbacks == 0
    with pytest.raises(ValueError, match=r"NaNGuardHook: interval must be at least 1, got 0"):
        NaNGuardHook(0)
    with pytest.raises(ValueError, match=r"NaNGuardHook: unknown on_nonfinite 'skp'; did you mean 'skip'"):
        NaNGuardHook(on_nonfinite="skp")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["loss_b", "grad_norm_actor"])
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_losses_and_gradient_norms_must_be_finite(name: str, value: float) -> None:
    guard = NaNGuardHook()
    guard(4, step(loss_a=1.0, grad_norm_a=2.0))
    guard(5, step(loss_a=1.0, **{name: value}))
    with pytest.raises(NonFiniteError, match=rf"'{name}' is {value} at step 5"):
        guard.check()


def test_other_numbers_may_be_anything() -> None:
    guard = NaNGuardHook()
    guard(1, step(td_error=NAN, advantage=INF))
    guard.check()
    guard(1, TensorDict({"loss_a": torch.tensor(1.0, dtype=torch.float64)}))
    guard.check()
    guard(2, TensorDict({"loss_a": torch.tensor(NAN, dtype=torch.float64), "loss_b": torch.tensor(1.0)}))
    with pytest.raises(NonFiniteError, match="loss_a"):
        guard.check()


def test_a_loss_may_still_have_its_graph() -> None:
    guard, weight = NaNGuardHook(), torch.tensor(INF, requires_grad=True)
    guard(1, TensorDict({"loss_a": 2 * weight}))
    with pytest.raises(NonFiniteError, match="loss_a"):
        guard.check()


def test_the_first_bad_step_is_named_with_what_was_healthy_before() -> None:
    guard = NaNGuardHook()
    guard(7, step(loss_a=1.0, global_qvalue=3e8))
    guard(8, step(loss_a=NAN, global_qvalue=1.0))
    guard(9, step(loss_a=INF, global_qvalue=1.0))
    with pytest.raises(NonFiniteError, match=r"nan at step 8.*had reached 3e\+08"):
        guard.check()
    # The first step of all has none before.
    guard(1, step(loss_a=NAN, global_qvalue=3e8))
    with pytest.raises(NonFiniteError, match=r"step 1; expected finite values. Lower the learning rate"):
        guard.check()


# Batches ------------------------------------------------------------------------------------


def batch(value: float, rows: int = 2) -> TensorDictBase:
    return TensorDict({"x": torch.tensor([1.0, value] + [0.0] * (rows - 2))}, [rows])


def test_a_batch_is_that_of_its_own_step() -> None:
    guard = NaNGuardHook()
    for number, value in enumerate((1.0, 2.0, NAN, 4.0), 1):
        guard.keep_batch(batch(value))
        guard(number, step(loss_a=NAN if number == 3 else 1.0))
    with pytest.raises(NonFiniteError, match=r"step 3.*is a value that is not finite: 'x' is nan in row 1"):
        guard.check()
    guard.keep_batch(batch(INF))
    guard(6, step(loss_a=NAN))
    with pytest.raises(NonFiniteError, match=r"step 6.*is a value that is not finite: 'x' is inf in row 1"):
        guard.check()
    guard.keep_batch(batch(-7.5))
    guard(5, step(loss_a=NAN))
    with pytest.raises(NonFiniteError, match=r"step 5.*In its batch the largest entry: 'x' is -7.5 in row 1"):
        guard.check()


def test_only_the_newest_batches_are_kept() -> None:
    big = batch(NAN, rows=2**17)  # half of a megabyte
    guard = NaNGuardHook(interval=10)
    for number in range(1, 4):
        guard.keep_batch(big)
        guard(number, step(loss_a=NAN if number == 1 else 1.0))
    assert guard._batches.maxlen == 2
    with pytest.raises(NonFiniteError) as caught:
        guard.check()
    assert caught.value.step == 1 and "In its batch" not in str(caught.value)
    for rows, kept in ((2, 10), (2**18, 1), (2**19, 1), (2**16, 4)):
        other = NaNGuardHook(interval=10)
        other.keep_batch(batch(0.0, rows=rows))
        assert other._batches.maxlen == kept


# Skipping -----------------------------------------------------------------------------------


def test_skipped_steps_are_counted_each_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = NaNGuardHook(on_nonfinite="skip")
    for number in range(5):
        bad = number in (1, 3)
        guard(number, step(loss_a=NAN if bad else 1.0, loss_b=INF if bad else 1.0))
    with caplog.at_level(logging.WARNING):
        guard.check()
        guard.check()
    assert guard.skipped == 2 and guard._skipped_in_a_row == 0 and len(caplog.records) == 1
    assert "2 updates skipped" in caplog.text
    fed(guard, 1.0, NAN, NAN).check()
    assert guard.skipped == 4 and guard._skipped_in_a_row == 2


def test_a_hundred_in_a_row_are_too_many_also_over_several_checks() -> None:
    guard = NaNGuardHook(on_nonfinite="skip")
    fed(guard, *[NAN] * 99).check()
    assert guard.skipped == guard._skipped_in_a_row == 99
    fed(guard, 1.0, *[NAN] * 60).check()
    assert guard._skipped_in_a_row == 60
    fed(guard, *[NAN] * 39).check()
    with pytest.raises(NonFiniteError, match=r"None of the last 100 steps was finite"):
        fed(guard, NAN).check()


# Parameters ---------------------------------------------------------------------------------


def guarded(**kwargs: Any) -> tuple[Any, NaNGuardHook]:
    trainer: Any = toy_trainer(5, **kwargs)
    return trainer, trainer.nan_guard


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_parameter_is_named_with_its_group(value: float) -> None:
    trainer, guard = guarded()
    guard.check()
    with torch.no_grad():
        trainer.optimizer.param_groups[1]["params"][2][0, 1] = value
    with pytest.raises(
        NonFiniteError, match=rf"b_network.* of the parameter group 'b' is {value} after step 6"
    ):
        fed(guard, 1.0)(6, step(loss_a=1.0)) or guard.check()
    # Not between checkpoints: the next loss tells.
    guard.check(parameters=False)
    with pytest.raises(NonFiniteError, match=r"after step 0"):
        guard.check()


def test_without_a_trainer_or_a_plain_optimizer_no_parameters_are_looked_at() -> None:
    NaNGuardHook().check()
    trainer, guard = guarded()
    with torch.no_grad():
        trainer.optimizer.param_groups[0]["params"][0].fill_(NAN)
    trainer.optimizer = None
    guard.check()


def test_the_last_checkpoint_is_named(tmp_path: Path) -> None:
    trainer, guard = guarded()
    hook = CheckpointHook(tmp_path, 2)
    hook.register(trainer)
    with pytest.raises(NonFiniteError, match=r"Last healthy checkpoint: none yet"):
        fed(guard, NAN).check()
    hook.save()
    with pytest.raises(NonFiniteError, match=r"Last healthy checkpoint: .*step_00000000.pt"):
        fed(guard, NAN).check()


def test_counts_are_part_of_a_checkpoint_and_steps_are_not() -> None:
    guard = NaNGuardHook(on_nonfinite="skip")
    fed(guard, NAN, 1.0, NAN, NAN).check()
    guard.rollbacks = 2
    state = guard.state_dict()
    assert state == {"skipped": 3, "skipped_in_a_row": 2, "rollbacks": 2}
    other = NaNGuardHook(on_nonfinite="skip")
    other.keep_batch(batch(1.0))
    fed(other, NAN).load_state_dict(state)
    other.check()
    assert other.state_dict() == state and not other._batches
    other.load_state_dict({})  # of a former version
    assert other.state_dict() == {"skipped": 0, "skipped_in_a_row": 0, "rollbacks": 0}


def test_registering_looks_at_each_step() -> None:
    trainer = toy_trainer(3, nan_check_interval=None)
    guard = NaNGuardHook(2)
    guard.register(trainer)
    assert trainer._modules["nan_guard"] is guard
    trainer.train_step()
    assert len(guard._unchecked) == len(guard._batches) == 1
    trainer.train_step()
    assert not guard._unchecked and not guard._batches
