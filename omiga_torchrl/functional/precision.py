"""Numbers of half precision, which autocast makes, where they are too coarse to compute with."""

from __future__ import annotations

import torch
from torch import Tensor

from omiga_torchrl.shapes import Float


def at_least_single(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """``x`` in single precision if it is of half precision (bfloat16 or float16), else itself.

    Examples:
        >>> at_least_single(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
