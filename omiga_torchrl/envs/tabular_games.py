"""Small coordination games as tables, with their exact solutions.

The multi-modal cases of AlberDICE (NeurIPS 2023, arXiv:2311.02194): several joint actions are
best, and a mixture of them is bad. With two agents that must choose different actions, data with
both orders teach a factorised policy to play each action half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from omiga_torchrl.envs.tabular_credit import tmaze_game, two_step_game
from omiga_torchrl.envs.tabular_game import TabularGame, list_joint_actions
from omiga_torchrl.errors import unknown_name

Cell = tuple[int, int]
Place = tuple[Cell, Cell]


def matrix_game(payoff: Sequence[Sequence[float]]) -> TabularGame:
    """A one-step game of two agents: agent 0 chooses the row, agent 1 the column.

    Args:
        payoff: reward of the team, square.

    Examples:
        >>> matrix_game([[0.0, 1.0], [1.0, 0.0]]).reward
        tensor([[0., 1., 1., 0.]])
    """
    table = torch.tensor(payoff, dtype=torch.float32)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ValueError(f"matrix_game: payoff has shape {tuple(table.shape)}; expected a square [K, K].")
    reward = table.flatten().unsqueeze(0)
    joint = list_joint_actions(2, len(table))
    over = torch.ones_like(reward, dtype=torch.bool)
    observation, state = torch.ones(1, 2, 1), torch.ones(1, 1)
    return TabularGame(reward, torch.zeros_like(reward, dtype=torch.long), over, joint, observation, state)


# The map of the released Bridge: B is blocked, row 1 is the only way across.
_BRIDGE = ("AABBAA", "AAAAAA", "AABBAA")
_GOALS = ((2, 5), (0, 0))
_MOVES = ((0, 0), (-1, 0), (1, 0), (0, 1), (0, -1))  # stay, up, down, right, left


def bridge_game(*, adjacent: bool = True, max_steps: int = 20) -> TabularGame:
    """Bridge: two agents meet on a bridge for one and have to cross it in opposite directions.

    One of them has to step back; who does is the choice that both must make alike. Each knows
    the places of both. The reward is the mean over agents of -0.1 times the distance to the goal,
    of agents not there before the step, and 0 in the step that ends the game (as released).
    Agents at their goals stay there and are in nobody's way; two agents cannot share or swap
    cells; if both enter the same cell, agent 0 does.

    Args:
        adjacent: start on the bridge face to face, as released; or at its two ends.
        max_steps: length of episodes; released: 20.

    Examples:
        >>> game = bridge_game()
        >>> game.reward.shape, game.joint_actions.shape
        (torch.Size([196, 25]), torch.Size([25, 2]))
    """
    cells = [(r, c) for r, row in enumerate(_BRIDGE) for c, kind in enumerate(row) if kind == "A"]
    places: list[Place] = [(first, second) for first in cells for second in cells]
    number = {place: i for i, place in enumerate(places)}
    joint = list_joint_actions(2, len(_MOVES))
    shape = (len(places), len(joint))
    reward, following = torch.zeros(shape), torch.zeros(shape, dtype=torch.long)
    terminal = torch.zeros(shape, dtype=torch.bool)
    for i, place in enumerate(places):
        for j, action in enumerate(joint.tolist()):
            after = _move(place, action, set(cells))
            arrived = all(cell == goal for cell, goal in zip(after, _GOALS, strict=True))
            following[i, j], terminal[i, j] = number[after], arrived
            reward[i, j] = 0.0 if arrived else _distance_reward(place, after)
    scaled = torch.tensor(places) / torch.tensor([2.0, 5.0])  # [S, agent, row and column]
    observation = torch.stack([scaled.flatten(1), scaled.flip(1).flatten(1)], 1)
    start = ((1, 2), (1, 3)) if adjacent else ((1, 1), (1, 4))
    return TabularGame(
        *(reward, following, terminal, joint, observation, scaled.flatten(1)),
        start=number[start],
        max_steps=max_steps,
    )


def _move(place: Place, action: Sequence[int], cells: set[Cell]) -> Place:
    wanted = list(place)
    out = [cell == goal for cell, goal in zip(place, _GOALS, strict=True)]  # in nobody's way
    for agent in range(2):
        row, column = place[agent]
        down, right = _MOVES[action[agent]]
        if not out[agent] and (row + down, column + right) in cells:
            wanted[agent] = (row + down, column + right)
    if any(out):
        return wanted[0], wanted[1]
    if wanted[0] == place[1] and wanted[1] == place[0]:  # a swap
        return place
    # A cell that is not left, or that both want: agent 1 gives way, then agent 0 if it must.
    if wanted[1] == wanted[0]:
        wanted[1] = place[1]
    if wanted[0] == wanted[1]:
        wanted[0] = place[0]
    return wanted[0], wanted[1]


def _distance_reward(place: Place, after: Place) -> float:
    total = 0.0
    for before, cell, goal in zip(place, after, _GOALS, strict=True):
        if before != goal:
            total -= 0.1 * ((cell[0] - goal[0]) ** 2 + (cell[1] - goal[1]) ** 2) ** 0.5
    return total / 2


TABULAR_GAMES: dict[str, Callable[[], TabularGame]] = {
    "xor": lambda: matrix_game([[0, 1], [1, 0]]),
    # AlberDICE's released game: both playing the second action is punished.
    "xor-penalty": lambda: matrix_game([[0, 1], [1, -2]]),
    # Claus and Boutilier (1998): two best joint actions, and a penalty for mixing them up.
    "penalty": lambda: matrix_game([[10, 0, -10], [0, 2, 0], [-10, 0, 10]]),
    # The same authors: the best joint action is surrounded by penalties.
    "climbing": lambda: matrix_game([[11, -30, 0], [-30, 7, 6], [0, 0, 5]]),
    # Agent 0's first action is worth 1 to the team, agent 1's is worth 4.
    "credit": lambda: matrix_game([[5, 1, 1], [4, 0, 0], [4, 0, 0]]),
    "two-step": two_step_game,
    "tmaze": tmaze_game,
    "bridge": bridge_game,
    "bridge-ends": lambda: bridge_game(adjacent=False),
}


def tabular_tasks() -> list[str]:
    """The games, sorted.

    Examples:
        >>> "xor" in tabular_tasks()
        True
    """
    return sorted(TABULAR_GAMES)


def tabular_game(name: str) -> TabularGame:
    """The game ``name`` as tables.

    Args:
        name: one of :func:`tabular_tasks`.

    Raises:
        ValueError: there is no such game.
    """
    if name not in TABULAR_GAMES:
        choices = [f"tabular/{task}" for task in tabular_tasks()]
        raise unknown_name("make_env", "task", f"tabular/{name}", choices)
    return TABULAR_GAMES[name]()
