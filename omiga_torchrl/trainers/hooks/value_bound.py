"""Says when learned values leave what the data can support."""

from __future__ import annotations

import logging
from typing import Final

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.trainers import Trainer, TrainerHookBase

from omiga_torchrl.trainers.hooks.protocol import require_interval

_LOG = logging.getLogger(__name__)

# The first of these that a loss reports is looked at.
VALUES: Final = ("global_qvalue", "global_value")
BOUND: Final = "value_bound"


class ValueBoundHook(TrainerHookBase):
    """Warns once of values above the largest discounted return in the data: they are overestimated.

    A policy that follows such values often fails, and no simulator is needed to see it. The bound is
    logged as ``value_bound`` beside the values.

    Args:
        bound: of :func:`omiga_torchrl.data.largest_discounted_return`.
        interval: gradient steps between two looks, over which values are averaged.

    Attributes:
        exceeded_at: the first step at which values were above the bound; ``None``: they never were.

    Raises:
        ValueError: ``interval`` is below one.

    Examples:
        >>> from tensordict import TensorDict
        >>> hook = ValueBoundHook(bound=10.0, interval=2)
        >>> for step, value in enumerate((9.0, 10.0, 11.0, 12.0), 1):
        ...     logged = hook(step, TensorDict({"global_qvalue": torch.tensor(value)}))
        >>> hook.exceeded_at, logged
        (4, {'value_bound': 10.0})
    """

    def __init__(self, bound: float, interval: int = 100) -> None:
        require_interval(type(self).__name__, interval)
        self.bound, self.interval = bound, interval
        self.exceeded_at: int | None = None
        self._values: list[Tensor] = []  # of several steps, so that the device is not waited for at each

    def __call__(self, optim_steps: int, losses: TensorDictBase) -> dict[str, float] | None:
        """Takes a step's values (stage ``post_optim_complete_log``)."""
        name = next((one for one in VALUES if one in losses), None)
        if name is None:
            return None
        self._values.append(losses[name].detach())
        if optim_steps % self.interval:
            return None
        value, self._values = float(torch.stack(self._values).mean()), []
        if value > self.bound and self.exceeded_at is None:
            self.exceeded_at = optim_steps
            _LOG.warning(
                "train: the learned values (%s %.4g at step %d) are above %.4g, the largest discounted "
                "return in the data: they are overestimated, and the policy may follow them. A larger "
                "temperature or penalty, a smaller expectile, or fewer steps keep them lower.",
                name, value, optim_steps, self.bound,
            )  # fmt: skip
        return {BOUND: self.bound}

    def register(self, trainer: Trainer, name: str = "value_bound") -> None:
        """Adds the hook to a trainer; checkpoints hold nothing of it."""
        trainer.register_op("post_optim_complete_log", self)
