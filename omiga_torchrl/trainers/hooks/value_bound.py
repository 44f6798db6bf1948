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
LOWER_BOUND: Final = "value_lower_bound"

_ABOVE: Final = (
    "train: the learned values (%s %.4g at step %d) are above %.4g, the largest discounted return in the "
    "data: they are overestimated, and the policy may follow them. A larger temperature or penalty, a "
    "smaller expectile, or fewer steps keep them lower."
)
_BELOW: Final = (
    "train: the learned values (%s %.4g at step %d) are below %.4g, the smallest discounted return in the "
    "data: they are underestimated, and the policy may follow them. A single critic, a smaller penalty, or "
    "a larger expectile keep them higher."
)


class ValueBoundHook(TrainerHookBase):
    """Warns once of values outside the discounted returns in the data: they are over- or underestimated.

    A policy that follows such values often fails, and no simulator is needed to see it. The bounds are
    logged as ``value_lower_bound`` and ``value_bound`` beside the values. Zero, where networks begin,
    never counts as outside.

    Args:
        lower_bound: the smaller return of :func:`omiga_torchrl.data.discounted_return_range`.
        bound: the larger one.
        interval: gradient steps between two looks, over which values are averaged.

    Attributes:
        left_at: the first step at which values were outside; ``None``: they never were.

    Raises:
        ValueError: ``interval`` is below one, or ``bound`` is below ``lower_bound``.

    Examples:
        >>> from tensordict import TensorDict
        >>> hook = ValueBoundHook(-1.0, 10.0, interval=2)
        >>> for step, value in enumerate((9.0, 10.0, 11.0, 12.0), 1):
        ...     logged = hook(step, TensorDict({"global_qvalue": torch.tensor(value)}))
        >>> hook.left_at, logged
        (4, {'value_lower_bound': -1.0, 'value_bound': 10.0})
    """

    def __init__(self, lower_bound: float, bound: float, interval: int = 100) -> None:
        require_interval(type(self).__name__, interval)
        if bound < lower_bound:
            raise ValueError(
                f"ValueBoundHook: bound must be at least lower_bound, got {bound} and {lower_bound}. "
                "The lower bound comes first, as discounted_return_range gives them."
            )
        self.lower_bound, self.bound, self.interval = lower_bound, bound, interval
        self.left_at: int | None = None
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
        if self.left_at is None and value > max(self.bound, 0.0):
            self.left_at = optim_steps
            _LOG.warning(_ABOVE, name, value, optim_steps, self.bound)
        if self.left_at is None and value < min(self.lower_bound, 0.0):
            self.left_at = optim_steps
            _LOG.warning(_BELOW, name, value, optim_steps, self.lower_bound)
        return {LOWER_BOUND: self.lower_bound, BOUND: self.bound}

    def register(self, trainer: Trainer, name: str = "value_bound") -> None:
        """Adds the hook to a trainer; checkpoints hold nothing of it."""
        trainer.register_op("post_optim_complete_log", self)
