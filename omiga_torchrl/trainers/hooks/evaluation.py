"""Evaluation during training, without touching it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.evaluation import EvaluationResult
from omiga_torchrl.random_state import get_random_state, set_random_state
from omiga_torchrl.trainers.hooks.protocol import HookedTrainer, require_hooked, require_interval

Evaluation = EvaluationResult | Mapping[str, float]


class EvaluationHook(TrainerHookBase):
    """Evaluates every ``interval`` steps and at the end, without touching training.

    The global random states are put back after each evaluation, whatever ``evaluate_fn`` draws.

    An ``evaluate_fn`` that gives futures lets training go on meanwhile: a result is reported, for the step
    that it was asked at, as soon as it is there. Training waits only when the next one is due before, at the
    end, and at a checkpoint of a later step.

    Args:
        evaluate_fn: evaluates the current policy, e.g. a call of
            :func:`omiga_torchrl.evaluation.evaluate`, or of
            :func:`omiga_torchrl.evaluation.evaluate_in_background`; a mapping of scalars also serves.
        interval: gradient steps between two evaluations.
        on_result: called with (step, result), e.g. to write a record.
        on_restored: called with the step of the last result, where a checkpoint was loaded: what was recorded
            after it comes again.
        at_start: also evaluate before the first step.
        name: prefix of the logged metrics.

    Raises:
        ValueError: ``interval`` is below one.

    Examples:
        >>> hook = EvaluationHook(lambda: {"return": 1.0}, interval=1000)
        >>> hook.interval
        1000
    """

    def __init__(
        self,
        evaluate_fn: Callable[[], Evaluation | Future[Any]],
        interval: int,
        *,
        on_result: Callable[[int, Evaluation], object] | None = None,
        on_restored: Callable[[int], object] | None = None,
        at_start: bool = False,
        name: str = "evaluation",
    ) -> None:
        require_interval(type(self).__name__, interval)
        self.evaluate_fn = evaluate_fn
        self.interval = interval
        self.on_result = on_result
        self.on_restored = on_restored
        self.at_start = at_start
        self.name = name
        self.last_step = -1
        self.last_result: Evaluation | None = None
        self._trainer: HookedTrainer | None = None
        self._pending: tuple[int, Future[Any]] | None = None

    def __call__(self) -> None:
        """Evaluates if it is due, and reports what has become ready (stage ``post_steps``)."""
        assert self._trainer is not None
        if self._pending is not None and self._pending[1].done():
            self._collect()
        if self._trainer.step_count % self.interval == 0:
            self.evaluate()

    def evaluate(self) -> Evaluation | Future[Any]:
        """Evaluates now; logs and reports the result, or waits for no future."""
        trainer = self._trainer
        assert trainer is not None, "EvaluationHook: register(trainer) first"
        trainer.check_finite()
        self._collect()
        state = get_random_state()
        try:
            result = self.evaluate_fn()
        finally:
            set_random_state(state)
        if isinstance(result, Future):
            self._pending = trainer.step_count, result
        else:
            self._report(trainer.step_count, result)
        return result

    def _collect(self) -> None:
        """Waits for the evaluation under way, if there is one."""
        if self._pending is not None:
            step, future = self._pending
            self._pending = None
            self._report(step, future.result())

    def _report(self, step: int, result: Evaluation) -> None:
        trainer = self._trainer
        assert trainer is not None
        metrics = dict(result if isinstance(result, Mapping) else result.metrics())
        named = {f"{self.name}/{name}": value for name, value in metrics.items()}
        trainer.log_now(named, **({} if step == trainer.step_count else {"step": step}))
        shown = next(iter(metrics), None)
        if shown is not None:
            trainer.show(**{shown: metrics[shown]})
        self.last_step, self.last_result = step, result
        if self.on_result is not None:
            self.on_result(step, result)

    def _start(self) -> None:
        step = 0 if self._trainer is None else self._trainer.step_count
        # A checkpoint does not wait for the evaluation of its own step: a resumed run repeats it.
        due = self.at_start if step == 0 else self.last_step < step and step % self.interval == 0
        if due:
            self.evaluate()

    def _end(self) -> None:
        self._collect()
        if self._trainer is not None and self.last_step != self._trainer.step_count:
            self.evaluate()
            self._collect()

    def state_dict(self) -> dict[str, Any]:
        """When it last evaluated; waits for an evaluation of an earlier step, whose policy is gone."""
        trainer = self._trainer
        if trainer is not None and self._pending is not None and self._pending[0] < trainer.step_count:
            self._collect()
        return {"last_step": self.last_step}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.last_step = state_dict["last_step"]
        self._pending = None
        if self.on_restored is not None:
            self.on_restored(self.last_step)

    def register(self, trainer: Trainer, name: str | None = None) -> None:
        """Adds the hook to a trainer with the members of :class:`HookedTrainer`."""
        self._trainer = require_hooked(type(self).__name__, trainer)
        trainer.register_module(name or self.name, self)
        trainer.register_op("setup", self._start)
        trainer.register_op("post_steps", self)
        trainer.register_op("shutdown", self._end)
