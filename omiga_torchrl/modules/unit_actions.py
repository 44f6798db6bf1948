"""Actions as networks read them: in units of half their range, around the middle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from omiga_torchrl.functional.bounds import to_unit
from omiga_torchrl.modules.bounds import Bound, register_bounds
from omiga_torchrl.specs import ActionBound, TeamSpec


class UnitActions(nn.Module):
    """A network whose last input, the action, is mapped from its bounds to [-1, 1] before.

    Args:
        network: ``(..., action [*B, N, A])`` to any output.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound. A feature without a range stays as it is but for its middle.

    Examples:
        >>> import torch
        >>> class Last(nn.Module):
        ...     def forward(self, observation, action):
        ...         return action
        >>> UnitActions(Last(), low=0.0, high=100.0)(torch.zeros(1), torch.tensor([0.0, 75.0]))
        tensor([-1.0000,  0.5000])
    """

    low: Bound
    high: Bound

    def __init__(self, network: nn.Module, *, low: ActionBound, high: ActionBound) -> None:
        super().__init__()
        self.network = network
        register_bounds(self, low, high)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The network's output."""
        *others, action = inputs
        output: Tensor = self.network(*others, self.to_unit(action))
        return output

    def to_unit(self, action: Tensor) -> Tensor:
        """Actions ``[*B, N, A]`` in [-1, 1]."""
        return to_unit(action, self.low, self.high).to(action.dtype)


def read_in_units(spec: TeamSpec) -> Callable[[nn.Module], nn.Module]:
    """Wrapper that makes a network read actions in [-1, 1]; the network itself where they are so already.

    Args:
        spec: sizes and action bounds.

    Examples:
        >>> read_in_units(TeamSpec(3, 5, 2, 7))(nn.Identity())
        Identity()
        >>> type(read_in_units(TeamSpec(3, 5, 2, 7, action_high=3.0))(nn.Identity())).__name__
        'UnitActions'
    """
    low, high = np.asarray(spec.action_low), np.asarray(spec.action_high)
    is_padding = low == high
    if spec.discrete or ((low == -1) & (high == 1) | is_padding & (low == 0)).all():
        return lambda network: network
    return lambda network: UnitActions(network, low=spec.action_low, high=spec.action_high)
