"""When an evaluation is due, at which step its result is reported, and what waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch

from omiga_torchrl.trainers.hooks import EvaluationHook


class Told:
    """What a hook needs of a trainer, which tells what it was told."""

    def __init__(self, step: int = 0) -> None:
        self.step_count, self.replay_buffer, self.checked = step, None, 0
        self.logged: list[tuple[dict[str, float], int | None]] = []
        self.shown: dict[str, float] = {}
        self.ops: dict[str, Any] = {}
        self.modules: dict[str, Any] = {}

    def check_finite(self) -> None:
        self.checked += 1

    def log_now(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        self.logged.append((dict(metrics), step))

    def show(self, **values: float) -> None:
        self.shown |= values

    def save(self, path: str | Path) -> Path:
        return Path(path)

    def register_module(self, module_name: str, module: Any) -> None:
        self.modules[module_name] = module

    def register_op(self, dest: Any, op: Any, **kwargs: Any) -> None:
        self.ops[dest] = op


class Pending(Future[Any]):
    """A result that is never waited for."""

    def result(self, timeout: float | None = None) -> Any:
        assert self.done(), "it waits"
        return super().result(timeout)


class Later:
    """Evaluations whose results come when the test says so."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def __call__(self) -> Future[Any]:
        self.futures.append(Pending())
        return self.futures[-1]

    def finish(self, place: int, value: float) -> None:
        self.futures[place].set_result({"return": value})


def registered(evaluate: Any, interval: int = 3, **kwargs: Any) -> tuple[EvaluationHook, Any]:
    hook, trainer = EvaluationHook(evaluate, interval, **kwargs), Told()
    hook.register(trainer)  # type: ignore[arg-type]
    return hook, trainer


def reach(trainer: Any, step: int) -> None:
    trainer.step_count = step
    trainer.ops["post_steps"]()


def test_it_evaluates_at_multiples_of_its_interval_and_at_the_end() -> None:
    seen: list[int] = []
    hook, trainer = registered(lambda: {"return": 2.0}, on_result=lambda step, _: seen.append(step))
    trainer.ops["setup"]()
    for step in range(1, 8):
        reach(trainer, step)
    trainer.ops["shutdown"]()
    trainer.ops["shutdown"]()
    assert seen == [3, 6, 7] and trainer.checked == 3 and hook.last_step == 7


def test_a_result_is_logged_under_the_hook_s_name_and_its_first_number_shown() -> None:
    hook, trainer = registered(lambda: {"return": 2.0, "length": 5.0})
    result = hook.evaluate()
    assert result == {"return": 2.0, "length": 5.0} == hook.last_result
    assert trainer.logged == [({"evaluation/return": 2.0, "evaluation/length": 5.0}, None)]
    assert trainer.shown == {"return": 2.0} and trainer.modules == {"evaluation": hook}
    other, trainer = registered(dict, name="test")
    other.evaluate()
    assert trainer.logged == [({}, None)] and trainer.shown == {} and trainer.modules == {"test": other}


@pytest.mark.parametrize(
    ("at_start", "step", "last_step", "is_due"),
    [
        (False, 0, -1, False),
        (True, 0, -1, True),
        (False, 6, 3, True),  # of a checkpoint that did not wait for its evaluation
        (False, 6, 6, False),
        (False, 7, 6, False),
        (True, 7, 6, False),
        (True, 6, 5, True),
    ],
)
def test_what_is_due_at_the_start(at_start: bool, step: int, last_step: int, is_due: bool) -> None:
    seen: list[int] = []
    hook, trainer = registered(lambda: {}, at_start=at_start, on_result=lambda step, _: seen.append(step))
    hook.last_step, trainer.step_count = last_step, step
    trainer.ops["setup"]()
    assert seen == [step] * is_due


def test_random_numbers_go_on_as_if_nothing_was_evaluated() -> None:
    def fails() -> Any:
        torch.rand(3)
        raise RuntimeError("no environment")

    hook, _ = registered(fails)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no environment"):
        hook.evaluate()
    assert torch.equal(before, torch.get_rng_state())


def test_a_result_that_comes_later_is_of_the_step_that_asked_for_it() -> None:
    later, seen = Later(), []
    hook, trainer = registered(later, on_result=lambda step, result: seen.append((step, result["return"])))
    reach(trainer, 3)
    assert not seen and hook.last_step == -1
    reach(trainer, 4)
    assert not seen
    later.finish(0, 7.0)
    reach(trainer, 5)
    assert seen == [(3, 7.0)] and hook.last_step == 3
    assert trainer.logged == [({"evaluation/return": 7.0}, 3)]


def test_the_next_one_and_the_end_wait_for_the_one_before() -> None:
    later, seen = Later(), []
    hook, trainer = registered(later, on_result=lambda step, result: seen.append((step, result["return"])))
    reach(trainer, 3)
    later.finish(0, 1.0)
    trainer.step_count = 6
    hook.evaluate()  # before it looked whether the first is there
    assert seen == [(3, 1.0)]
    later.finish(1, 2.0)
    trainer.ops["shutdown"]()
    assert seen == [(3, 1.0), (6, 2.0)] and len(later.futures) == 2
    assert trainer.logged[1] == ({"evaluation/return": 2.0}, None)


def test_a_checkpoint_waits_for_evaluations_of_earlier_steps_only() -> None:
    later = Later()
    hook, trainer = registered(later)
    reach(trainer, 3)
    assert hook.state_dict() == {"last_step": -1}  # repeated after a resumption
    trainer.step_count = 4
    later.finish(0, 1.0)
    assert hook.state_dict() == {"last_step": 3}
    assert EvaluationHook(dict, 1).state_dict() == {"last_step": -1}


def test_loading_forgets_what_is_under_way_and_tells_the_record() -> None:
    told: list[int] = []
    later = Later()
    hook, trainer = registered(later, on_restored=told.append)
    reach(trainer, 3)
    hook.load_state_dict({"last_step": 2})
    later.finish(0, 1.0)
    reach(trainer, 4)
    assert told == [2] and hook.last_step == 2 and not trainer.logged
    registered(later)[0].load_state_dict({"last_step": 1})


def test_intervals_and_trainers_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"EvaluationHook: interval must be at least 1, got 0"):
        EvaluationHook(dict, 0)
    with pytest.raises(TypeError, match=r"EvaluationHook: trainer must have.*got a dict"):
        EvaluationHook(dict, 1).register({})  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        EvaluationHook(dict, 1).evaluate()
    alone = EvaluationHook(dict, 1, at_start=False)
    alone._start()
    alone._end()
