"""Local values of agents from the data of a game, solved exactly."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from omiga_torchrl.envs.tabular_game import TabularGame
from omiga_torchrl.envs.tabular_solutions import joint_policy

_TOLERANCE, _ITERATIONS = 1e-9, 3_000


def factored_values(game: TabularGame, visits: Tensor, *, mixed: bool, gamma: float | None = None) -> Tensor:
    """In-sample local values Q_i ``[S, N, K]``, fitted to infinitely many data; -inf where they have none.

    With a mixer the team's value is ``b(s) + sum_i Q_i(s, a_i)``, what linear mixers and VDN can say in a
    state that agents tell from others; its square error over the data's joint actions is least. Without one
    every Q_i is the mean of the reward and of the agent's own next value over what the others do in the data.
    The next value is that of the best actions in the data, each agent's for itself. No network, no sampling:
    what is lost is lost by the factorisation.

    Args:
        game: the game; agents are taken to know its state.
        visits: how often the data have each joint action, ``[S, J]``; see
            :func:`omiga_torchrl.envs.tabular_solutions.state_visits`.

    Keyword Args:
        mixed: fit the team's value, or every agent's own.
        gamma: discount in [0, 1); None is the game's.

    Raises:
        ArithmeticError: the iteration does not settle, which a mixed value need not do.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import matrix_game
        >>> game = matrix_game([[5.0, 4.0], [1.0, 0.0]])
        >>> data = torch.tensor([[0.2, 0.3, 0.5, 0.0]])  # agent 0 is right only where agent 1 is not
        >>> factored_values(game, data, mixed=False)[0, 0]  # a mean over what agent 1 did
        tensor([4.4000, 1.0000], dtype=torch.float64)
        >>> q = factored_values(game, data, mixed=True)[0]
        >>> (q[:, 0] - q[:, 1]).round(decimals=3).tolist()  # each action's own effect
        [4.0, 1.0]
    """
    gamma = game.discount if gamma is None else gamma
    visits, alive = visits.double(), gamma * (~game.terminal).double().unsqueeze(-1)
    chosen = F.one_hot(game.joint_actions, game.n_actions).double()  # [J, N, K]
    count = torch.einsum("sj,jnk->snk", visits, chosen)
    unseen, is_visited = count == 0, count.sum(-1) > 0
    fit = _additive_fit(visits, chosen) if mixed else None
    value = visits.new_zeros(len(visits), game.n_agents)  # with a mixer the team's, for every agent
    for _ in range(_ITERATIONS):
        target = game.reward.double().unsqueeze(-1) + alive * value[game.next_state]  # [S, J, N]
        if fit is None:
            q = torch.einsum("sj,sjn,jnk->snk", visits, target, chosen) / count
            q = q.masked_fill(unseen, -torch.inf)
            updated = q.amax(-1)
        else:
            bias, effects = (fit @ target[..., :1]).squeeze(-1).tensor_split([1], -1)
            q = effects.unflatten(-1, count.shape[1:]).masked_fill(unseen, -torch.inf)
            updated = (bias + q.amax(-1).sum(-1, keepdim=True)).expand_as(value)
        updated = torch.where(is_visited, updated, 0.0)
        if float((updated - value).abs().max()) < _TOLERANCE:
            return q
        value = updated
    raise ArithmeticError(
        f"factored_values: no fixed point within {_ITERATIONS} iterations; expected one. The fit of a mixed "
        f"value need not contract: lower gamma, or take other data."
    )


def greedy_joint_policy(game: TabularGame, local: Tensor) -> Tensor:
    """The joint policy ``[S, J]`` of agents that all play their best action; the first one of several.

    Args:
        game: the game.
        local: a value of every agent's actions ``[S, N, K]``, e.g. their probabilities.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> greedy_joint_policy(tabular_game("xor"), torch.tensor([[[0.6, 0.4], [0.1, 0.9]]]))
        tensor([[0., 1., 0., 0.]])
    """
    is_best = local >= local.amax(-1, keepdim=True) - 1e-6
    action = is_best.long().argmax(-1)
    return joint_policy(game, F.one_hot(action, game.n_actions).float())


def _additive_fit(visits: Tensor, chosen: Tensor) -> Tensor:
    """Linear maps ``[S, 1 + N K, J]`` from targets to the weighted least-squares bias and local values."""
    columns = torch.cat([torch.ones_like(chosen[:, 0, :1]), chosen.flatten(1)], -1)
    root = visits.sqrt().unsqueeze(-1)
    return torch.linalg.pinv(root * columns, rtol=1e-8) * root.mT
