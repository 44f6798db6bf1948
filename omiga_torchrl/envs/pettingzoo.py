"""The multi-particle environments (MPE) of PettingZoo as team tasks, those of unequal agents included."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Bounded, Categorical, Composite, TensorSpec, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.envs.grouping import group_name, require_reward_rule, team_env, uniform_groups
from omiga_torchrl.errors import DataError, unknown_name

_MAX_STEPS = 25
_TASKS = (
    *("simple_adversary_v3", "simple_crypto_v3", "simple_push_v3", "simple_reference_v3"),
    *("simple_speaker_listener_v4", "simple_spread_v3", "simple_tag_v3", "simple_world_comm_v3"),
)


def pettingzoo_tasks() -> list[str]:
    """The scenarios of MPE, sorted; none where the package mpe2 is missing.

    Examples:
        >>> set(pettingzoo_tasks()) <= {*_TASKS}
        True
    """
    return sorted(_TASKS) if importlib.util.find_spec("mpe2") else []


def make_pettingzoo_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    max_steps: int | None = None,
    device: torch.device | str = "cpu",
    team_reward: str | None = None,
    keep_agent_rewards: bool = False,
    **options: Any,
) -> EnvBase:
    """The MPE scenario `name` as a team task; see :func:`omiga_torchrl.envs.make_env`.

    Agents form groups by their names; those whose spaces differ within one are split further. The state
    is the observations of all agents in a row. Games are stepped one by one: VMAS's versions are faster.

    Args:
        name: scenario with its version, e.g. ``"simple_tag_v3"``.
        num_envs: games played together.
        seed: seed of the games; each has its own random stream.
        max_steps: episode length in steps; ``None`` is MPE's own, 25.
        device: where tensors go; the games run on the CPU.
        team_reward: how the agents' rewards become the team's, see :class:`omiga_torchrl.envs.TeamReward`;
            ``None`` is ``"mean"``. In games of two sides, e.g. ``simple_tag_v3``, it has to be given.
        keep_agent_rewards: whether the agents' own rewards ``(group, "reward")`` are given as well.
        options: arguments of the scenario, e.g. ``continuous_actions=True``; actions are discrete by default.

    Raises:
        ImportError: mpe2 is not installed.
        ValueError: unknown scenario, or two sides without a rule for the team's reward.

    Examples:
        >>> env = make_pettingzoo_env("simple_speaker_listener_v4", num_envs=2)  # doctest: +SKIP
        >>> env.group_map  # doctest: +SKIP
        {'speaker': ['speaker_0'], 'listener': ['listener_0']}
    """
    if importlib.util.find_spec("mpe2") is None:
        raise ImportError('make_env: the package mpe2 is missing. pip install "omiga-torchrl[pettingzoo]"')
    if name not in _TASKS:
        raise unknown_name("make_env", "task", f"pettingzoo/{name}", [f"pettingzoo/{one}" for one in _TASKS])
    module, limit = importlib.import_module(f"mpe2.{name}"), max_steps or _MAX_STEPS
    # The counter below ends episodes: MPE itself would only count the same steps.
    games = [
        module.parallel_env(max_cycles=limit + 1, render_mode="rgb_array", **options) for _ in range(num_envs)
    ]
    base = PettingZooTeamEnv(games, seed=seed, device=device)
    sides = {getattr(agent, "adversary", False) for agent in games[0].unwrapped.world.agents}
    rule = require_reward_rule(f"pettingzoo/{name}", team_reward, base.group_map, two_sides=len(sides) > 1)
    return team_env(base, rule, max_steps=limit, keep_agent_rewards=keep_agent_rewards)


class PettingZooTeamEnv(EnvBase):
    """Parallel PettingZoo games, stepped together, with the agents' own rewards and no state.

    Made by :func:`make_pettingzoo_env`, which adds the team's. Games do not end by themselves.

    Args:
        games: equal games of PettingZoo's parallel interface, whose agents all stay to the end.
        seed: seed of all games' random streams; one stream each.
        device: where tensors go.

    Raises:
        DataError: an agent left a game.
    """

    def __init__(
        self, games: Sequence[Any], *, seed: int | None = None, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(device=torch.device(device), batch_size=torch.Size([len(games)]))
        self._games = list(games)
        agents = self._games[0].possible_agents
        named: dict[str, list[str]] = {}
        for agent in agents:
            named.setdefault(group_name(agent), []).append(agent)
        self.group_map = uniform_groups(named, {agent: self._spaces(agent) for agent in agents})
        self._make_specs()
        self._set_seed(seed)

    def _spaces(self, agent: str) -> tuple[Any, Any]:
        game = self._games[0]
        return game.observation_space(agent), game.action_space(agent)

    def _make_specs(self) -> None:
        batch, device = self.batch_size, self.device
        seen, acted, earned = {}, {}, {}
        for name, agents in self.group_map.items():
            team = torch.Size([*batch, len(agents)])
            observation, action = self._spaces(agents[0])
            entry = Unbounded((*team, *observation.shape), device=device)
            seen[name] = Composite({"observation": entry}, shape=team, device=device)
            acted[name] = Composite({"action": _action_spec(action, team)}, shape=team).to(device)
            reward = Unbounded((*team, 1), device=device)
            earned[name] = Composite({"reward": reward}, shape=team, device=device)
        self.observation_spec = Composite(seen, shape=batch, device=device)
        self.action_spec = Composite(acted, shape=batch, device=device)
        self.reward_spec = Composite(earned, shape=batch, device=device)
        flag = Categorical(2, (*batch, 1), dtype=torch.bool, device=device)
        self.done_spec = Composite(
            {keys.DONE: flag.clone(), keys.TERMINATED: flag.clone()}, shape=batch, device=device
        )

    def _set_seed(self, seed: int | None) -> None:
        """Restarts all streams at the next reset."""
        count = len(self._games)
        seeds = [None] * count if seed is None else np.random.SeedSequence(seed).generate_state(count)
        self._seeds: list[int | None] = [None if one is None else int(one) for one in seeds]
        self._now: list[Mapping[str, npt.NDArray[Any]]] = [{}] * count

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        named = None if tensordict is None else tensordict.get("_reset", None)
        for index, game in enumerate(self._games):
            if named is None or bool(named.reshape(-1)[index]):
                self._now[index] = game.reset(seed=self._seeds[index])[0]
                self._seeds[index] = None
        return self._results()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        chosen = {name: tensordict.get((name, "action")).cpu().numpy() for name in self.group_map}
        rewards = []
        for index, game in enumerate(self._games):
            actions = {
                agent: chosen[name][index, place]
                for name, agents in self.group_map.items()
                for place, agent in enumerate(agents)
            }
            self._now[index], earned, *_ = game.step(actions)
            if len(game.agents) < len(actions):
                gone = sorted(set(actions) - set(game.agents))
                raise DataError(
                    f"PettingZooTeamEnv: all agents must stay to the end of the episode, got a game that "
                    f"{', '.join(gone)} left. Reset it in time, or use scenarios of MPE."
                )
            rewards.append(earned)
        results = self._results()
        for name in self.group_map:
            results[name, "reward"] = self._gathered(rewards, name).unsqueeze(-1)
        return results

    def _results(self) -> TensorDictBase:
        ends = {name: torch.zeros(*self.batch_size, 1, dtype=torch.bool) for name in self.done_keys}
        found = TensorDict(ends, self.batch_size)
        for name, agents in self.group_map.items():
            observation = self._gathered(self._now, name)
            team = [*self.batch_size, len(agents)]
            found[name] = TensorDict({"observation": observation}, team)
        return found.to(self.device)

    def _gathered(self, games: Sequence[Mapping[str, Any]], name: str) -> Tensor:
        """One number or vector of every agent of a group, `[B, N, ...]`, in single precision."""
        rows = [[np.asarray(game[agent]) for agent in self.group_map[name]] for game in games]
        return torch.from_numpy(np.array(rows, np.float32)).to(self.device)

    def render_frame(self) -> npt.NDArray[Any]:
        """The first game as it is now, `uint8` `[H, W, 3]`."""
        return np.ascontiguousarray(self._games[0].render())


def _action_spec(space: Any, team: torch.Size) -> TensorSpec:
    if hasattr(space, "n"):
        return Categorical(int(space.n), team, dtype=torch.int64)
    low, high = (torch.as_tensor(bound).expand(*team, -1).clone() for bound in (space.low, space.high))
    return Bounded(low, high, (*team, *space.shape), dtype=torch.float32)
