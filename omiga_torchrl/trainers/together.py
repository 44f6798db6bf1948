"""`RunGroup`: trains several runs of one structure at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.objectives.utils import TargetNetUpdater

from omiga_torchrl.trainers.compiled.pure_step import PureStep
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.interruption import SignalFlag, TrainingInterrupted, deferred_signals
from omiga_torchrl.trainers.loop import Step, SteppedTrainer
from omiga_torchrl.trainers.stepper import GroupedStepper

if TYPE_CHECKING:
    from omiga_torchrl.trainers.compiled.stacked import StackedRuns


class RunGroup:
    """Trains runs that differ in seeds and scalar hyper-parameters, the step of all as one compiled graph.

    Every run keeps its own networks, batches, targets, random numbers of torch, hooks, logs and checkpoints,
    and its numbers are those of the run alone up to rounding; so either goes on from the other's checkpoints.
    Small networks gain most: five runs take about the time of one eager run. The random numbers of numpy and
    Python are shared.

    Attributes:
        trainers: the runs.
        failures: number of a run to the error that has ended it, while the others went on.

    Examples:
        >>> group = RunGroup()
        >>> len(group.trainers)
        0
    """

    def __init__(self) -> None:
        self.trainers: list[SteppedTrainer] = []
        self.failures: dict[int, NonFiniteError] = {}
        self._kinds: list[Hashable] = []
        self._random: list[_RandomStream] = []

    def add(self, trainer: SteppedTrainer, kind: Hashable | None = None) -> None:
        """Adds a run, right after it was built or resumed: it goes on with the random numbers of then.

        Args:
            trainer: built with ``compile="none"``: the group compiles.
            kind: equal for runs with the same hyper-parameters, which are traced once; ``None``: unknown.

        Raises:
            ValueError: the trainer has a compiled step of its own, or a stepper that no group knows.
        """
        if not isinstance(trainer.optimization_stepper, GroupedStepper):
            raise ValueError(
                f"RunGroup: trainers must be built with compile='none', got one with a "
                f"{type(trainer.optimization_stepper).__name__}. The group compiles the step of all."
            )
        self.trainers.append(trainer)
        self._kinds.append(len(self._kinds) if kind is None else kind)
        self._random.append(_RandomStream(trainer._device))

    def train(self) -> None:
        """Trains all runs until each is done.

        Raises:
            ValueError: the runs differ in structure.
            NonFiniteError: a loss, gradient or parameter of a run was NaN or infinite; the others are done.
            TrainingInterrupted: a signal has ended it after a step, with a checkpoint of every run.
        """
        try:
            for trainer, random in zip(self.trainers, self._random, strict=True):
                with random.in_use():
                    trainer.begin()
            with deferred_signals() as signals:
                self._train(signals)
        finally:
            for trainer in self.trainers:
                trainer._close_bar()
        for k, error in self.failures.items():
            raise NonFiniteError(f"run {k + 1} of {len(self.trainers)}: {error}", error.step) from error

    def _train(self, signals: SignalFlag) -> None:
        # Inductor takes a second to import.
        from omiga_torchrl.trainers.compiled.stacked import StackedRuns

        runs: StackedRuns | None = None
        batches: list[TensorDictBase] = []
        open_runs = set(range(len(self.trainers)))
        while True:
            for k in [k for k in open_runs if self.trainers[k].is_done]:
                try:
                    self._end(k, runs)
                except NonFiniteError as error:
                    self._settle(k, error, runs)
            open_runs = {k for k in open_runs if not (self.trainers[k].is_done or k in self.failures)}
            if not open_runs:
                return
            started = {k: self.trainers[k].gradient_step() for k in sorted(open_runs)}
            fresh = {k: self._next(k, step) for k, step in started.items()}
            batches = [fresh.get(k, old) for k, old in enumerate(batches or list(fresh.values()))]
            if runs is None:
                runs = StackedRuns([pure_step_of(trainer) for trainer in self.trainers], self._kinds)
                runs.compile(batches)
            noise = [self._draw(k, runs) for k in range(len(self.trainers))]
            outputs = runs.step(batches, [trainer._optim_count for trainer in self.trainers], noise)
            for k, step in started.items():
                try:
                    with self._random[k].in_use(), suppress(StopIteration):
                        step.send(outputs[k])
                except NonFiniteError as error:
                    self._settle(k, error, runs)
            open_runs -= self.failures.keys()
            if signals.signum is not None:
                self._interrupt(signals.signum)

    def _settle(self, k: int, error: NonFiniteError, runs: StackedRuns | None) -> None:
        """Lets a run that is not finite go back to its checkpoint, or ends it."""
        try:
            with self._random[k].in_use():
                self.trainers[k].roll_back(error)
        except NonFiniteError as final:
            self.failures[k] = final
        else:
            if runs is not None:
                runs.reload(k)

    def _interrupt(self, signum: int) -> None:
        """Every run writes its checkpoint, unless it has."""
        for trainer, random in zip(self.trainers, self._random, strict=True):
            with random.in_use(), suppress(TrainingInterrupted):
                trainer.interrupt(signum)
        raise TrainingInterrupted(signum)

    def _next(self, k: int, step: Step) -> TensorDictBase:
        with self._random[k].in_use():
            return next(step)

    def _draw(self, k: int, runs: StackedRuns) -> list[Tensor]:
        with self._random[k].in_use():
            return runs.draw(k)

    def _end(self, k: int, runs: StackedRuns | None) -> None:
        if runs is not None:  # later steps of the others must not change it
            runs.release(k)
        with self._random[k].in_use():
            self.trainers[k].end()


class _RandomStream:
    """A run's place in torch's random numbers, while other runs use the generators."""

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._state = self._get()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block torch's global generators are at this place, and go on from it."""
        self._set()
        try:
            yield
        finally:
            self._state = self._get()

    def _get(self) -> tuple[Tensor, Tensor | None]:
        cuda = None if self._device is None else torch.cuda.get_rng_state(self._device)
        return torch.random.get_rng_state(), cuda

    def _set(self) -> None:
        cpu, cuda = self._state
        torch.random.set_rng_state(cpu)
        if self._device is not None and cuda is not None:
            torch.cuda.set_rng_state(cuda, self._device)


def pure_step_of(trainer: SteppedTrainer) -> PureStep:
    """The step of an eager trainer as a pure function.

    Args:
        trainer: with an eager stepper.

    Raises:
        ValueError: another stepper, or an optimizer or target updater that has no compiled form.
    """
    stepper = cast(GroupedStepper, trainer.optimization_stepper)
    return PureStep(
        trainer.loss_module,
        cast(torch.optim.Optimizer, trainer.optimizer),
        stepper.parameter_groups,
        clip_grad_norm=stepper.clip_grad_norm,
        target_updater=cast("TargetNetUpdater | None", stepper.target_updater),
        update_intervals=stepper.update_intervals,
        precision=stepper.precision,
        skip_nonfinite=stepper.skip_nonfinite,
    )
