"""Hooks of fine-tuning: steps in the environment, and critics that are warmed before the policy moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tensordict import TensorDictBase
from torchrl.collectors import BaseCollector
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.data.recording.collecting import batches
from omiga_torchrl.errors import require_count
from omiga_torchrl.online.buffer import OnlineBuffer
from omiga_torchrl.online.exploration import as_rows
from omiga_torchrl.random_state import isolated_random
from omiga_torchrl.trainers.hooks.protocol import HookedTrainer, require_hooked

_NEVER: Final = 2**62


class CollectionHook(TrainerHookBase):
    """Plays new episodes every ``interval`` gradient steps, and anneals the offline share of batches.

    What is played depends on the policy, ``seed`` and the number of the round alone: a resumed training goes
    on with the same steps.

    Args:
        collector: a :class:`omiga_torchrl.data.recording.collecting.SeededCollector` of the policy.
        buffer: takes the steps.

    Keyword Args:
        interval: gradient steps between two rounds; the first is before the first step.
        batches: of the collector in a round; together they should be as long as an episode.
        anneal_steps: gradient steps until the offline share is 0; None keeps it.
        seed: of the first round.

    Attributes:
        frames: environment steps so far.
    """

    def __init__(
        self,
        collector: BaseCollector,
        buffer: OnlineBuffer,
        *,
        interval: int,
        batches: int = 4,
        anneal_steps: int | None = None,
        seed: int = 0,
    ) -> None:
        require_count("CollectionHook", 1, interval=interval, batches=batches)
        if anneal_steps is not None:
            require_count("CollectionHook", 1, anneal_steps=anneal_steps)
        self.collector, self.buffer = collector, buffer
        self.interval, self.batches, self.anneal_steps, self.seed = interval, batches, anneal_steps, seed
        self.frames = 0
        self._trainer: HookedTrainer | None = None

    def __call__(self) -> None:
        """Plays if a round is due (stage ``pre_optim_steps``)."""
        assert self._trainer is not None
        done = self._trainer.step_count - 1  # of this step the count is made already
        if done % self.interval == 0:
            self.collect(done // self.interval)
        if self.anneal_steps is not None:
            self.buffer.anneal(done, self.anneal_steps)

    def collect(self, number: int) -> None:
        """Plays one round.

        Args:
            number: of the round.
        """
        with isolated_random(self.seed + number):
            self.collector.set_seed(self.seed + number)
            playing = batches(self.collector)
            for _ in range(self.batches):
                rows: TensorDictBase = as_rows(next(playing))
                self.buffer.extend_online(rows)
                self.frames += len(rows)

    def state_dict(self) -> dict[str, Any]:
        """The online transitions."""
        return {"frames": self.frames, "online": self.buffer.online_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores :meth:`state_dict`."""
        self.frames = state_dict["frames"]
        self.buffer.load_online_state(state_dict["online"])

    def register(self, trainer: Trainer, name: str = "collection") -> None:
        """Adds the hook to a trainer with the members of :class:`HookedTrainer`."""
        self._trainer = require_hooked(type(self).__name__, trainer)
        trainer.register_module(name, self)
        trainer.register_op("pre_optim_steps", self)


class WarmUpHook(TrainerHookBase):
    """Leaves the policy as it is for the first ``steps`` gradient steps, in which its critics see new data.

    Args:
        steps: number of steps; 0 does nothing.
        group: the parameter group that is left alone.
    """

    def __init__(self, steps: int, *, group: str = "actor") -> None:
        require_count("WarmUpHook", 0, steps=steps)
        self.steps, self.group = steps, group
        self._trainer: Any = None
        self._interval = 1

    def __call__(self) -> None:
        """Sets how often the policy is updated (stage ``pre_optim_steps``)."""
        is_warm = self._trainer.step_count > self.steps
        stepper = self._trainer.optimization_stepper
        stepper.update_intervals[self.group] = self._interval if is_warm else _NEVER

    def register(self, trainer: Trainer, name: str = "warm_up") -> None:
        """Adds the hook to a trainer with an eager stepper."""
        self._trainer = trainer
        stepper: Any = trainer.optimization_stepper
        self._interval = stepper.update_intervals.get(self.group, 1)
        trainer.register_op("pre_optim_steps", self)
