"""Environments of your own: games of PettingZoo and Gymnasium, and TorchRL's environments, as a team's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torchrl.envs import EnvBase, SerialEnv

from omiga_torchrl import keys
from omiga_torchrl.env_specs import group_map_of
from omiga_torchrl.envs.env_checks import check_env
from omiga_torchrl.envs.grouping import team_env
from omiga_torchrl.envs.one_agent import OneAgentGame
from omiga_torchrl.envs.pettingzoo_env import PettingZooTeamEnv
from omiga_torchrl.errors import DataError


def from_pettingzoo(
    game: Any,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: str = "mean",
    keep_agent_rewards: bool = False,
    group_map: Mapping[str, Sequence[str]] | None = None,
    agent_mask: bool = False,
) -> EnvBase:
    """A game of PettingZoo's parallel interface as a team's environment, in the library's keys.

    Agents form groups by their names (``"car_0"`` is in ``"car"``); those whose spaces differ within one are
    split further, and a single group is called ``"agents"``. The state is the observations of all agents in a
    row. Observations are flattened as Gymnasium does, discrete ones to one-hot features. Legal actions are
    read from a ``Dict`` observation ``{"observation", "action_mask"}``, or from the agents' infos.

    Args:
        game: the game, or a function that makes one; with ``num_envs > 1`` it has to be a function.
        num_envs: games played together, one after another in this process.
        seed: seed of the games; each has its own random stream.
        max_steps: steps after which a game is truncated; None leaves it to the game.
        device: where tensors go; games run on the CPU.
        team_reward: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`.
        keep_agent_rewards: whether the agents' own rewards ``(group, "reward")`` are given as well.
        group_map: name of every group to its agents; None groups them by their names.
        agent_mask: whether agents may leave before the end: ``(group, "agent_mask")`` tells who is there.

    Raises:
        ValueError: several games of one instance.
        DataError: spaces that the library has no policies for.

    Examples:
        >>> from mpe2 import simple_spread_v3  # doctest: +SKIP
        >>> env = from_pettingzoo(simple_spread_v3.parallel_env, num_envs=2, max_steps=25)  # doctest: +SKIP
        >>> env.rollout(3)["agents", "observation"].shape  # doctest: +SKIP
        torch.Size([2, 3, 3, 18])
    """
    games = _make(game, num_envs, "from_pettingzoo")
    base = PettingZooTeamEnv(games, seed=seed, device=device, group_map=group_map, agent_mask=agent_mask)
    return team_env(base, team_reward, max_steps=max_steps, keep_agent_rewards=keep_agent_rewards)


def from_gymnasium(
    game: Any,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
) -> EnvBase:
    """A game of Gymnasium as the environment of a team of one agent, in the library's keys.

    Args:
        game: the game, or a function that makes one; with ``num_envs > 1`` it has to be a function.
        num_envs: games played together, one after another in this process.
        seed: seed of the games; each has its own random stream.
        max_steps: steps after which a game is truncated; None leaves it to the game.
        device: where tensors go; games run on the CPU.

    Raises:
        ValueError: several games of one instance.
        DataError: spaces that the library has no policies for.

    Examples:
        >>> import gymnasium
        >>> env = from_gymnasium(lambda: gymnasium.make("Pendulum-v1"), num_envs=2, max_steps=50)
        >>> env.rollout(3)["agents", "action"].shape
        torch.Size([2, 3, 1, 1])
    """
    games = [OneAgentGame(one) for one in _make(game, num_envs, "from_gymnasium")]
    return team_env(PettingZooTeamEnv(games, seed=seed, device=device), "first", max_steps=max_steps)


def from_torchrl(
    env: EnvBase | Callable[[], EnvBase],
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: str = "mean",
    keep_agent_rewards: bool = False,
) -> EnvBase:
    """A TorchRL environment of agents in groups as a team's: what it lacks of the library's entries is added.

    These are the state (the observations of all agents in a row), one reward of the team (from the agents'
    own), the return so far, and truncation by ``max_steps``. Observations and actions have to be there, as
    ``(group, "observation")`` `[*B, N, O]` and ``(group, "action")``; the result is checked.

    Args:
        env: the environment, batched or not, or a function that makes one.
        num_envs: environments of a function, stepped one after another; a batched one has its own number.
        seed: seed of the environment.
        max_steps: steps after which an episode is truncated; None leaves it to the environment.
        device: where tensors go.
        team_reward: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`.
        keep_agent_rewards: whether the agents' own rewards are given as well.

    Raises:
        ValueError: several environments of one instance.
        DataError: an entry is missing, or is not as the library expects it.

    Examples:
        >>> from torchrl.envs.libs.vmas import VmasEnv
        >>> env = from_torchrl(VmasEnv("navigation", num_envs=2, max_steps=None), max_steps=5)
        >>> env.rollout(9)["next", "reward"].shape
        torch.Size([2, 5, 1])
    """
    base = _batched(env, num_envs).to(device)
    base.group_map = {name: list(agents) for name, agents in group_map_of(base).items()}
    _require_rewards(base)
    team = team_env(base, team_reward, max_steps=max_steps, keep_agent_rewards=keep_agent_rewards)
    if seed is not None:
        team.set_seed(seed)
    check_env(team)
    return team


def _require_rewards(env: EnvBase) -> None:
    """Raise unless there is a reward of the team, or what it is made of."""
    own = [] if keys.REWARD in env.reward_keys else [(group, "reward") for group in env.group_map]
    missing = [key for key in own if key not in env.reward_keys]
    if missing:
        raise DataError(
            f"from_torchrl: the environment must give one reward of the team, 'reward', or one of every "
            f"group, got {env.reward_keys}; missing: {missing}. Rename them with RenameTransform."
        )


def _batched(env: EnvBase | Callable[[], EnvBase], num_envs: int) -> EnvBase:
    if not isinstance(env, EnvBase):
        first = env()
        if first.batch_size == torch.Size([]):
            return SerialEnv(num_envs, env)
        env = first
    elif env.batch_size == torch.Size([]):
        [only] = _make(env, num_envs, "from_torchrl")
        return SerialEnv(1, lambda: only)
    if num_envs not in (1, env.batch_size.numel()):
        raise ValueError(
            f"from_torchrl: num_envs must be the environment's own, {env.batch_size.numel()}, got "
            f"{num_envs}. Make it with so many."
        )
    return env


def _make(game: Any, count: int, component: str) -> list[Any]:
    if isinstance(game, type) or (callable(game) and not hasattr(game, "reset")):
        return [game() for _ in range(count)]
    if count > 1:
        raise ValueError(
            f"{component}: num_envs must be 1 for one instance, got {count}. Pass a function that makes "
            "the game."
        )
    return [game]
