"""Calibration: fitted values of the behaviour beside the returns that it had."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.data.blocks import episode_spans


@dataclass(frozen=True)
class Calibration:
    """Fitted value of the behaviour against the discounted returns in the data, whose truth is known.

    The return of an episode that was cut off, e.g. by a time limit, is continued with the fitted value of
    its last step.

    Attributes:
        estimate: mean fitted value of the first steps, of every seed.
        truth: mean discounted return, of every seed, as the continuation is its own.
        spread: standard deviation of the discounted returns between episodes.
        continued: mean share of the return that is the continuation.
    """

    estimate: list[float]
    truth: list[float]
    spread: float
    continued: float

    @property
    def error(self) -> float:
        """Mean over seeds of estimate - truth, in units of discounted return."""
        return sum(a - b for a, b in zip(self.estimate, self.truth, strict=True)) / len(self.truth)


def calibrate(data: TensorDictBase, value: Tensor, gamma: float, reward_scale: float = 1.0) -> Calibration:
    """The calibration of fitted values of the behaviour.

    Args:
        data: transitions ``[T]`` of whole episodes, with scaled rewards.
        value: fitted values of the data's actions by seed, ``[K, T]``.
        gamma: discount.
        reward_scale: what rewards were divided by; the results are in raw units.

    Examples:
        >>> from tensordict import TensorDict
        >>> outcome = {"reward": torch.ones(2, 1), "terminated": torch.tensor([[False], [True]])}
        >>> data = TensorDict({"episode": torch.zeros(2), "next": outcome}, [2])
        >>> calibration = calibrate(data, torch.tensor([[2.0, 1.0]]), gamma=0.5)
        >>> calibration.estimate, calibration.truth, calibration.error
        ([2.0], [1.5], 0.5)
    """
    starts, lengths, number = episode_spans(data[keys.EPISODE])
    last = starts + lengths - 1
    power = torch.arange(len(data)) - starts[number]
    reward = data["next", keys.REWARD].as_subclass(Tensor).reshape(-1).double()
    terminated = data["next", keys.TERMINATED].as_subclass(Tensor).reshape(-1)
    # The last step of an episode that was cut off: its fitted value in place of its reward.
    is_cut = torch.zeros(len(data), dtype=torch.bool).index_fill_(0, last, True) & ~terminated
    discounted = torch.where(is_cut, 0.0, reward) * gamma**power
    known = torch.zeros(len(starts), dtype=torch.float64).index_add_(0, number, discounted)
    tail = torch.where(is_cut[last], value[:, last].double() * gamma ** power[last], 0.0)
    total = (known + tail) * reward_scale
    size = known.abs() + tail.abs()
    return Calibration(
        estimate=(value[:, starts].double().mean(-1) * reward_scale).tolist(),
        truth=total.mean(-1).tolist(),
        spread=float(total.std(-1, correction=0).mean()),
        continued=float((tail.abs() / size.clamp(min=1e-12)).mean()),
    )
