"""Flags and masks that may be stored as 0 and 1 of another dtype."""

from __future__ import annotations

import torch
from torch import Tensor


def as_flag(value: Tensor) -> Tensor:
    """A boolean tensor from one that may hold 0 and 1 in another dtype: ``~x`` of integers is no negation.

    Args:
        value: flags of any dtype; what is not 0 is True.

    Examples:
        >>> as_flag(torch.tensor([0, 1])), ~torch.tensor([0, 1])
        (tensor([False,  True]), tensor([-1, -2]))
    """
    return value if value.dtype == torch.bool else value != 0
