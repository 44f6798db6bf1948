"""The values that data can support."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase
from torch import Tensor

from omiga_torchrl import functional as F
from omiga_torchrl import keys
from omiga_torchrl.data.blocks import episode_spans


def discounted_return_range(data: TensorDictBase, gamma: float) -> tuple[float, float] | None:
    """The smallest and the largest discounted return of any state in the data, in units of their rewards.

    A critic's mean value over the data cannot be outside without having been extrapolated. Where an episode
    was cut off, the stretch before the cut counts as if it went on for ever, ``G / (1 - gamma^n)``; only
    stretches of at least ``1 / (1 - gamma)`` steps do, or whole episodes, since shorter ones say little.

    Args:
        data: steps of whole episodes, one after the other `[T]`, such as ``dataset[:]``.
        gamma: discount, in [0, 1].

    Returns:
        Both returns; ``None`` for data without a reward of the team.

    Examples:
        >>> from tensordict import TensorDict
        >>> ends = torch.tensor([[False], [True], [False], [False]])
        >>> outcome = {"reward": torch.tensor([[1.0], [2.0], [3.0], [1.0]]), "terminated": ends}
        >>> data = TensorDict({"episode": torch.tensor([0, 0, 1, 1]), "next": outcome}, [4])
        >>> discounted_return_range(data, 0.5)  # (3 + 1 / 2) / (1 - 1 / 4)
        (2.0, 4.666666666666667)
    """
    if ("next", keys.REWARD) not in data.keys(True):
        return None
    reward = data["next", keys.REWARD].as_subclass(Tensor).reshape(-1)
    starts, lengths, number = episode_spans(data[keys.EPISODE])
    ends, row = starts + lengths, torch.arange(len(reward))
    remaining = ends[number] - row
    terminated = data["next", keys.TERMINATED].as_subclass(Tensor).reshape(-1)[ends - 1][number]
    total = F.returns_to_go(reward, remaining, gamma)
    if gamma == 1:
        return float(total.min()), float(total.max())
    says_much = terminated | (row == starts[number]) | (remaining >= 1 / (1 - gamma))
    endless = total / (1 - gamma ** remaining.double())
    worth = torch.where(terminated, total, endless)[says_much]
    return float(worth.min()), float(worth.max())
