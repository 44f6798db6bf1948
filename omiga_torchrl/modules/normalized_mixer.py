"""The mixer of ICQ's released multi-agent code."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omiga_torchrl.modules.mixers import TeamMixer
from omiga_torchrl.modules.networks import on_rows


class NormalizedMixer(TeamMixer):
    """Q_tot = sum_i k_i(s) Q_i with ``k_i >= 0``, ``sum_i k_i = 1`` and no bias (ICQ's released code).

    ``k(s) = |W(s)| |v(s)|``, divided by its sum; W and v are linear in the state.

    Args:
        n_agents: number of agents N.
        state_size: features S of the state.

    Keyword Args:
        embedding: width E of ``W(s) [N, E]`` and ``v(s) [E]``. Default 32, as released.

    Shapes: ``state [*B, S] -> weight [*B, N, 1], bias [*B, 1]``.

    Examples:
        >>> weight, bias = NormalizedMixer(3, 7).weights(torch.ones(8, 7))
        >>> torch.allclose(weight.sum(-2), torch.ones(8, 1)), bool((bias == 0).all())
        (True, True)
    """

    linear = True

    def __init__(self, n_agents: int, state_size: int, *, embedding: int = 32) -> None:
        super().__init__(n_agents, state_size)
        self.first = nn.Linear(state_size, n_agents * embedding)
        self.second = nn.Linear(state_size, embedding)

    def weights(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``[*B, N, 1]`` (>= 0, of sum 1) of every agent and bias zero ``[*B, 1]``."""
        first = on_rows(self.first, state).abs().unflatten(-1, (self.n_agents, -1))
        raw = (first @ on_rows(self.second, state).abs().unsqueeze(-1)).to(first.dtype)
        weight = raw / raw.sum(-2, keepdim=True).clamp(min=torch.finfo(raw.dtype).tiny)
        return weight, state.new_zeros(*state.shape[:-1], 1)
