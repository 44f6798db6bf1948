"""Exact values and policies of tabular games, and their behaviour data in full."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from omiga_torchrl import keys
from omiga_torchrl.envs.tabular_game import TabularGame

_TOLERANCE = 1e-9


def optimal_values(game: TabularGame, *, gamma: float | None = None, allowed: Tensor | None = None) -> Tensor:
    """Q* ``[S, J]`` over joint actions, without a time limit, by value iteration in double precision.

    Args:
        game: the game.

    Keyword Args:
        gamma: discount in [0, 1); None is the game's.
        allowed: joint actions ``[S, J]`` among which the best is chosen, e.g. those of the data;
            None is all. A state without any counts as an end.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> optimal_values(tabular_game("xor"))
        tensor([[0., 1., 1., 0.]], dtype=torch.float64)
    """
    gamma = game.discount if gamma is None else gamma
    allowed = torch.ones_like(game.terminal) if allowed is None else allowed
    reward, alive = game.reward.double(), gamma * (~game.terminal).double()
    value = torch.zeros_like(reward)
    change = 1.0
    while change > _TOLERANCE:
        best = value.masked_fill(~allowed, -torch.inf).amax(-1)
        best = torch.where(allowed.any(-1), best, 0.0)
        updated = reward + alive * best[game.next_state]
        change = float((updated - value).abs().max())
        value = updated
    return value


def optimal_actions(game: TabularGame, *, gamma: float | None = None) -> Tensor:
    """Which joint actions are best in each state, ``[S, J]``, boolean.

    Args:
        game: the game.

    Keyword Args:
        gamma: discount in [0, 1); None is the game's.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> optimal_actions(tabular_game("xor"))  # (0, 1) and (1, 0)
        tensor([[False,  True,  True, False]])
    """
    value = optimal_values(game, gamma=gamma)
    return value >= value.amax(-1, keepdim=True) - 1e-6


def joint_policy(game: TabularGame, local: Tensor) -> Tensor:
    """The joint policy ``[S, J]`` of agents that choose independently.

    Args:
        game: the game.
        local: each agent's policy, ``[S, N, K]``.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> joint_policy(tabular_game("xor"), torch.full((1, 2, 2), 0.5))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    agents = torch.arange(game.n_agents)
    return local[:, agents, game.joint_actions].prod(-1)  # [S, J, N] before the product


def policy_values(game: TabularGame, policy: Tensor, *, gamma: float | None = None) -> Tensor:
    """V ``[S]`` of a joint policy ``[S, J]``, without a time limit, by a linear solve.

    Args:
        game: the game.
        policy: probabilities of the joint actions.

    Keyword Args:
        gamma: discount in [0, 1); None is the game's.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> policy_values(tabular_game("xor"), torch.full((1, 4), 0.25))  # agents that mix
        tensor([0.5000], dtype=torch.float64)
    """
    gamma = game.discount if gamma is None else gamma
    states, joint = game.reward.shape
    policy = policy.double()
    weight = (policy * ~game.terminal).flatten()
    rows = torch.arange(states).repeat_interleave(joint)
    transition = torch.zeros(states, states, dtype=torch.float64)
    transition.index_put_((rows, game.next_state.flatten()), weight, accumulate=True)
    reward = (policy * game.reward).sum(-1)
    return torch.linalg.solve(torch.eye(states, dtype=torch.float64) - gamma * transition, reward)


def state_visits(game: TabularGame, policy: Tensor) -> Tensor:
    """How often an episode plays each joint action in each state, on average: ``[S, J]``.

    Args:
        game: the game; its time limit counts.
        policy: probabilities of the joint actions ``[S, J]``.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> state_visits(tabular_game("xor"), torch.tensor([[0.5, 0.5, 0.0, 0.0]])).tolist()
        [[0.5, 0.5, 0.0, 0.0]]
    """
    policy = policy.double()
    starts = torch.bincount(game.starts, minlength=len(policy)).double()
    now, visits = starts / starts.sum(), torch.zeros_like(policy)
    for _ in range(game.max_steps):
        played = now.unsqueeze(-1) * policy
        visits += played
        goes_on = (played * ~game.terminal).flatten()
        now = torch.zeros_like(now).index_add_(0, game.next_state.flatten(), goes_on)
    return visits


def expected_return(game: TabularGame, policy: Tensor) -> float:
    """The mean return of a joint policy ``[S, J]``, undiscounted and within the game's time limit.

    Args:
        game: the game.
        policy: probabilities of the joint actions.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> expected_return(tabular_game("xor"), torch.full((1, 4), 0.25))
        0.5
    """
    return float((state_visits(game, policy) * game.reward).sum())


def enumerate_episodes(game: TabularGame, allowed: Tensor, *, limit: int = 10_000) -> TensorDictBase:
    """Every episode from the starts in which only allowed joint actions are played, once each.

    Behaviour data without chance: select rows to repeat some (``data[torch.tensor([0, 0, 1])]``),
    and real steps to have transitions (``data[data["collector", "mask"]]``).

    Args:
        game: the game.
        allowed: joint actions that the behaviour policy plays, ``[S, J]``, boolean.

    Keyword Args:
        limit: most episodes.

    Returns:
        Sequences ``[episodes, time]`` in the default keys, padded by their last step; real steps
        are True in ``("collector", "mask")``.

    Raises:
        ValueError: there are more episodes, or a state without an allowed action is reached.

    Examples:
        >>> from omiga_torchrl.envs.tabular_games import tabular_game
        >>> game = tabular_game("xor")
        >>> data = enumerate_episodes(game, optimal_actions(game))
        >>> data["agents", "action"].tolist(), data["next", "reward"].flatten().tolist()
        ([[[0, 1]], [[1, 0]]], [1.0, 1.0])
    """
    finished: list[list[tuple[int, int]]] = []
    open_paths: list[tuple[int, list[tuple[int, int]]]] = [(start, []) for start in game.starts.tolist()]
    while open_paths:
        state, path = open_paths.pop()
        choices = allowed[state].nonzero().flatten().tolist()
        if not choices:
            raise ValueError(
                f"enumerate_episodes: state {state} is reached but has no allowed action; "
                "expected at least one."
            )
        for joint in reversed(choices):
            longer = [*path, (state, joint)]
            if bool(game.terminal[state, joint]) or len(longer) == game.max_steps:
                finished.append(longer)
            else:
                open_paths.append((int(game.next_state[state, joint]), longer))
        if len(finished) + len(open_paths) > limit:
            raise ValueError(
                f"enumerate_episodes: more than {limit} episodes; expected fewer. Allow fewer joint "
                "actions, or raise limit."
            )
    finished.sort()
    return _as_sequences(game, finished)


def _as_sequences(game: TabularGame, paths: list[list[tuple[int, int]]]) -> TensorDictBase:
    lengths = torch.tensor([len(path) for path in paths])
    time = int(lengths.max())
    padded = torch.tensor([path + [path[-1]] * (time - len(path)) for path in paths])
    state, joint = padded.unbind(-1)
    following, ended = game.next_state[state, joint], game.terminal[state, joint]
    last = torch.arange(time) >= lengths.unsqueeze(-1) - 1
    batch = state.shape

    def seen(at: Tensor, **more: Tensor) -> dict[str, Tensor | TensorDict]:
        group = TensorDict({"observation": game.observation[at], **more}, [*batch, game.n_agents])
        return {keys.GROUP: group, keys.STATE: game.state[at]}

    ends = {
        keys.REWARD: game.reward[state, joint].unsqueeze(-1),
        keys.DONE: (last | ended).unsqueeze(-1),
        keys.TERMINATED: ended.unsqueeze(-1),
        keys.TRUNCATED: (last & ~ended).unsqueeze(-1),
    }
    return TensorDict(
        {
            **seen(state, action=game.joint_actions[joint]),
            "next": TensorDict({**seen(following), **ends}, batch),
            "collector": TensorDict({"mask": torch.arange(time) < lengths.unsqueeze(-1)}, batch),
        },
        batch,
    )
