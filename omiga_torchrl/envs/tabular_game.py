"""`TabularGame`: a small team game as tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TabularGame:
    """A team game without chance but in its start, with S states and J joint actions of N agents.

    Joint actions are numbered as ``itertools.product`` lists them; see ``joint_actions``.

    Attributes:
        reward: reward of the team, ``[S, J]``.
        next_state: state after each joint action, ``[S, J]``, integers.
        terminal: whether the game is then over, ``[S, J]``, boolean.
        joint_actions: every joint action, ``[J, N]``, integers.
        observation: what agents see of each state, ``[S, N, O]``.
        state: features of each state, ``[S, F]``.
        start: state that episodes begin in.
        other_starts: more such states; each of all of them is as likely.
        max_steps: length of episodes in steps; longer ones are truncated.
        discount: discount that the exact solutions use by default.
    """

    reward: Tensor
    next_state: Tensor
    terminal: Tensor
    joint_actions: Tensor
    observation: Tensor
    state: Tensor
    start: int = 0
    other_starts: tuple[int, ...] = ()
    max_steps: int = 1
    discount: float = 0.99

    @property
    def starts(self) -> Tensor:
        """States that episodes begin in, equally likely, ``[Z]``, integers."""
        return torch.tensor([self.start, *self.other_starts], device=self.reward.device)

    @property
    def n_agents(self) -> int:
        """Number of agents N."""
        return self.joint_actions.shape[1]

    @property
    def n_actions(self) -> int:
        """Actions K of each agent."""
        return int(self.joint_actions.max()) + 1

    def joint_index(self, action: Tensor) -> Tensor:
        """The number ``[*B]`` of joint actions ``[*B, N]``.

        Examples:
            >>> from omiga_torchrl.envs.tabular_games import tabular_game
            >>> tabular_game("xor").joint_index(torch.tensor([1, 0]))
            tensor(2)
        """
        powers = self.n_actions ** torch.arange(self.n_agents - 1, -1, -1, device=action.device)
        return (action * powers).sum(-1)


def list_joint_actions(n_agents: int, n_actions: int) -> Tensor:
    """All joint actions ``[J, N]`` of N agents with as many actions each, the last agent's fastest.

    Args:
        n_agents: number of agents.
        n_actions: actions of each.

    Examples:
        >>> list_joint_actions(2, 2).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return torch.tensor(list(itertools.product(range(n_actions), repeat=n_agents)))
