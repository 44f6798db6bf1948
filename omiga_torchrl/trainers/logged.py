"""How a trainer logs: means between two lines, bounded history, a progress bar."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.trainers import Trainer

from omiga_torchrl.trainers.metrics import MetricWindow
from omiga_torchrl.trainers.step import LOSS_PREFIX

_LOG = logging.getLogger(__name__)

# Values kept per metric for hooks that look back (EarlyStopping reads the last one).
HISTORY = 100


class LoggedTrainer(Trainer):
    """A `Trainer` whose logs are averaged, bounded, detached, and its own."""

    logger: Any

    def _own_state(self) -> None:
        # The stock trainer keeps these on the class, where two trainers would share them.
        self.collected_frames = 0
        self._optim_count = 0
        self._last_save = 0
        self._last_log: dict[str, Any] = {}
        self._log_dict: defaultdict[str, Any] = defaultdict(lambda: deque(maxlen=HISTORY))
        self._window = MetricWindow()
        self._bar: Any = None
        self._pbar_str: dict[str, Any] = {}
        self._bar_names: set[str] = set()
        self._empty_batch = TensorDict({}, [1])

    def _post_optim_complete_log_hook(self, optim_steps: int, average_losses: TensorDictBase | None) -> None:
        for op, kwargs in self._post_optim_complete_log_ops:
            result = op(optim_steps, average_losses, **kwargs)
            if result is not None:
                self._log(**result)
        if self.auto_log_optim_steps and average_losses is not None:
            self._collect(dict(average_losses.items()))

    def _log(self, log_pbar: bool = False, **kwargs: Any) -> None:
        """Averages what a hook logs until the next log line (stock signature)."""
        if log_pbar:
            self._bar_names.update(kwargs)
        for name, value in kwargs.items():
            self._collect({name: torch.as_tensor(value)})

    def _collect(self, values: dict[str, Any]) -> None:
        scalars = {k: v for k, v in values.items() if isinstance(v, torch.Tensor) and v.ndim < 2}
        self._window.add(scalars)
        for name in scalars.keys() - self._log_dict.keys():
            self._log_dict[name].append(scalars[name].detach())

    def _flush_log(self) -> None:
        means = self._window.flush()
        self.log_now(means)
        terms = [value for name, value in means.items() if name.startswith(LOSS_PREFIX)]
        self.show(**({"loss": sum(terms)} if terms else {}))
        self.show(**{name: means[name] for name in self._bar_names & means.keys()})

    def log_now(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Writes scalars to the logger, without averaging.

        Args:
            metrics: name to value.
            step: an earlier step that they are of; ``None`` is the current one.
        """
        at = self.collected_frames if step is None else step
        for name, value in metrics.items():
            self._log_dict[name].append(value)
            self._last_log[name] = at
            if self.logger is not None:
                self._log_scalar(name, value, at)

    def _log_scalar(self, name: str, value: float, step: int) -> None:
        """Leaves a logger alone that fails: a full disk or a lost server must not end a training."""
        try:
            self.logger.log_scalar(name, value, step=step)
        except Exception as error:  # loggers document little of what they raise
            _LOG.warning(
                "train: the logger %s failed at step %d (%s: %s); the training goes on without it.",
                type(self.logger).__name__, step, type(error).__name__, error,
            )  # fmt: skip
            self.logger = None

    def show(self, **values: float) -> None:
        """Puts values on the progress bar, e.g. ``show(loss=0.3)``."""
        self._pbar_str.update(values)
        if self._bar is not None:
            text = {name: f"{value:.4g}" for name, value in self._pbar_str.items()}
            self._bar.set_postfix(text, refresh=False)

    def _open_bar(self) -> None:
        if self.progress_bar:
            from tqdm import tqdm  # optional: extra "recipes"

            # A log file keeps every refresh as a line.
            pause = 0.1 if sys.stderr.isatty() else 10.0
            self._bar = tqdm(
                total=self.total_frames, initial=self.collected_frames, unit="step", mininterval=pause
            )
            self.show()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
