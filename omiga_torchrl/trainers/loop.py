"""The loop of a trainer: hooks, batches and steps, of one run or of several in step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import cast

import torch
from tensordict import TensorDictBase
from torchrl.data import ReplayBuffer

from omiga_torchrl.trainers.checkpointed import CheckpointedTrainer
from omiga_torchrl.trainers.diagnosis import NonFiniteError
from omiga_torchrl.trainers.hooks import CheckpointHook
from omiga_torchrl.trainers.interruption import TrainingInterrupted, deferred_signals

Step = Generator[TensorDictBase, TensorDictBase, None]


class SteppedTrainer(CheckpointedTrainer):
    """A `Trainer` whose steps stop between the batch and the update, which may be done elsewhere."""

    _device: torch.device

    @property
    def is_done(self) -> bool:
        """True once all steps are done or a hook has requested a stop."""
        return bool(self._stop_training) or self.collected_frames >= self.total_frames

    def train(self) -> None:
        """Trains until ``total_frames`` gradient steps are done or a hook requests a stop.

        Raises:
            NonFiniteError: a loss, a gradient or a parameter is NaN or infinite.
            TrainingInterrupted: a signal (SIGINT, SIGTERM, SIGHUP) has ended it after a step, with a
                checkpoint if there is a :class:`CheckpointHook`. It is a ``KeyboardInterrupt``.
        """
        try:
            self.begin()
            while not self._reach_end():
                pass
        finally:
            self._close_bar()

    def _reach_end(self) -> bool:
        """Trains to the end, or until it has gone back to a checkpoint."""
        try:
            with deferred_signals() as signals:
                while not self.is_done:
                    self.train_step()
                    if signals.signum is not None:
                        self.interrupt(signals.signum)
            self.end()
        except NonFiniteError as error:
            self.roll_back(error)
            return False
        return True

    def begin(self) -> None:
        """Opens the progress bar, and the hooks of the stage ``setup``."""
        self._stop_training = False
        self._open_bar()
        self._setup_hook()

    def end(self) -> None:
        """Writes the last log line, and the hooks of the stage ``shutdown``.

        Raises:
            FloatingPointError: a loss is NaN or infinite.
        """
        self.check_finite()
        self._flush_log()
        self._shutdown_hook()
        self._close_bar()
        self.collector.shutdown()

    def interrupt(self, signum: int) -> None:
        """Ends the training between two steps because of a signal.

        Args:
            signum: the signal.

        Raises:
            TrainingInterrupted: always, after writing a checkpoint if there is a :class:`CheckpointHook`.
        """
        hook = self._modules.get("checkpoint")
        if not isinstance(hook, CheckpointHook):
            raise TrainingInterrupted(signum)
        path = hook.path(self.step_count) if hook.last_step == self.step_count else hook.save()
        raise TrainingInterrupted(signum, f"stopped after step {self.step_count}, saved as {path}")

    def gradient_step(self) -> Step:
        """One gradient step with all hooks around it, as a generator.

        It yields the batch and is sent the output of the update, see ``step`` of the stepper.
        """
        batch = self._process_batch_hook(self._empty_batch)
        self.collected_frames += 1
        self._pre_steps_log_hook(batch)
        self._pre_optim_hook()
        self._pre_epoch_log_hook(batch)
        self._pre_epoch_hook(batch)
        self._optim_count += 1
        sub_batch = self._process_optim_batch_hook(self._sample())
        losses = yield sub_batch
        self._post_optim_hook()
        self._post_optim_log(sub_batch)
        self._post_epoch_log_hook(batch)
        self._post_epoch_hook()
        self._post_optim_complete_log_hook(self._optim_count, losses)
        self._post_steps_hook()
        # Before the last hooks: a checkpoint must not hold a window that is due.
        if self.collected_frames % self._log_interval == 0:
            self._flush_log()
        self._post_steps_log_hook(batch)
        if self._bar is not None:
            self._bar.update(1)

    def train_step(self) -> None:
        """One gradient step with all its hooks: what :meth:`train` repeats."""
        step = self.gradient_step()
        losses = self.optimization_stepper.step(self, next(step))
        with suppress(StopIteration):
            step.send(losses)

    def _sample(self) -> TensorDictBase:
        buffer = cast(ReplayBuffer, self.replay_buffer)
        batch = buffer.sample(self.batch_size)
        if self._device.type != "cpu":
            batch = batch.to(self._device, non_blocking=True)
        return cast(TensorDictBase, batch)
