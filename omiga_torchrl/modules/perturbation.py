"""BCQ's perturbation of sampled actions."""

from __future__ import annotations

from torch import Tensor, nn

from omiga_torchrl.functional import clamp_to_bounds
from omiga_torchrl.modules.bounds import Bound, register_bounds
from omiga_torchrl.specs import ActionBound


class PerturbedActions(nn.Module):
    """``a + limit (high - low) / 2 tanh(xi(o, a))``, clamped to the bounds (BCQ, arXiv:1812.02900).

    Args:
        network: xi, ``(observation [*B, N, O], action [*B, N, A]) -> [*B, N, A]``.
        limit: the largest change, in units of half the range; BCQ's 0.05.

    Keyword Args:
        low: lower bound of actions, or of each feature.
        high: upper bound of actions, or of each feature.

    Examples:
        >>> import torch
        >>> from omiga_torchrl.modules import AgentMLP
        >>> perturb = PerturbedActions(AgentMLP(4 + 2, 2, n_agents=3, hidden_sizes=(16,)))
        >>> perturb(torch.zeros(8, 3, 4), torch.zeros(10, 8, 3, 2)).shape
        torch.Size([10, 8, 3, 2])
    """

    low: Bound
    high: Bound

    def __init__(
        self, network: nn.Module, limit: float = 0.05, *, low: ActionBound = -1.0, high: ActionBound = 1.0
    ) -> None:
        super().__init__()
        self.network = network
        self.limit = limit
        register_bounds(self, low, high)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Perturbed actions, shaped as ``action``.

        Args:
            observation: ``[*B, N, O]``.
            action: ``[*B, N, A]``, or samples ``[*M, *B, N, A]`` for each observation.
        """
        observation = observation.expand(*action.shape[:-1], observation.shape[-1])
        change = self.limit * (self.high - self.low) / 2 * self.network(observation, action).tanh()
        return clamp_to_bounds(action + change, self.low, self.high)
