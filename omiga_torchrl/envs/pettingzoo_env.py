"""Parallel PettingZoo games as one environment of a team."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl import keys
from omiga_torchrl.envs.agent_spaces import AgentSpaces
from omiga_torchrl.envs.grouping import group_name, uniform_groups
from omiga_torchrl.errors import DataError

Observed = Mapping[str, Any]


class PettingZooTeamEnv(EnvBase):
    """Games of PettingZoo's parallel interface, stepped together, with the agents' own rewards and no state.

    :func:`omiga_torchrl.envs.from_pettingzoo` makes it and adds the team's entries. A game is over when no
    agent is left: a truncation if an agent's last step was one, else a termination. Stepping a game that is
    over does nothing.

    Args:
        games: equal games.
        seed: seed of all games' random streams; one stream each.
        device: where tensors go.
        group_map: name of every group to its agents; None groups them by their names.
        agent_mask: whether agents may leave before the end; ``(group, "agent_mask")`` tells who is there.

    Raises:
        DataError: spaces that the library has no policies for, or an agent left without ``agent_mask``.
    """

    ended_stand_still = True

    def __init__(
        self,
        games: Sequence[Any],
        *,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        group_map: Mapping[str, Sequence[str]] | None = None,
        agent_mask: bool = False,
    ) -> None:
        super().__init__(device=torch.device(device), batch_size=torch.Size([len(games)]))
        self._games, self._has_agent_mask = list(games), agent_mask
        game = self._games[0]
        _, infos = game.reset()
        self._spaces = {agent: AgentSpaces.of(game, agent, infos) for agent in game.possible_agents}
        named: dict[str, list[str]] = {}
        for agent in self._spaces:
            named.setdefault(group_name(agent), []).append(agent)
        self.group_map = uniform_groups(group_map or named, self._spaces)
        self._make_specs()
        self._set_seed(seed)

    def _make_specs(self) -> None:
        batch, device = self.batch_size, self.device
        seen, acted, earned = {}, {}, {}
        for name, agents in self.group_map.items():
            team, spaces = torch.Size([*batch, len(agents)]), self._spaces[agents[0]]
            entries = spaces.observation_specs(team)
            if self._has_agent_mask:
                entries["agent_mask"] = Categorical(2, team, dtype=torch.bool)
            seen[name] = Composite(entries, shape=team).to(device)
            acted[name] = Composite({"action": spaces.action_spec(team)}, shape=team).to(device)
            earned[name] = Composite({"reward": Unbounded((*team, 1))}, shape=team).to(device)
        self.observation_spec = Composite(seen, shape=batch, device=device)
        self.action_spec = Composite(acted, shape=batch, device=device)
        self.reward_spec = Composite(earned, shape=batch, device=device)
        flags = (keys.DONE, keys.TERMINATED, keys.TRUNCATED)
        flag = Categorical(2, (*batch, 1), dtype=torch.bool, device=device)
        self.done_spec = Composite({key: flag.clone() for key in flags}, shape=batch, device=device)

    def _set_seed(self, seed: int | None) -> None:
        """Restarts all streams at the next reset."""
        count = len(self._games)
        seeds = [None] * count if seed is None else np.random.SeedSequence(seed).generate_state(count)
        self._seeds: list[int | None] = [None if one is None else int(one) for one in seeds]
        self._seen: list[Observed] = [{}] * count
        self._infos: list[Observed] = [{}] * count
        self._present: list[set[str]] = [set()] * count
        self._over = torch.zeros(2, count, 1, dtype=torch.bool)  # terminated, truncated

    def _reset(self, tensordict: TensorDictBase | None = None, **kwargs: Any) -> TensorDictBase:
        named = None if tensordict is None else tensordict.get("_reset", None)
        for index, game in enumerate(self._games):
            if named is None or bool(named.reshape(-1)[index]):
                self._seen[index], self._infos[index] = game.reset(seed=self._seeds[index])
                self._present[index] = set(game.agents)
                self._seeds[index] = None
                self._over[:, index] = False
        return self._results()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        chosen = {name: tensordict.get((name, "action")).cpu().numpy() for name in self.group_map}
        rewards: list[Mapping[str, float]] = [
            {} if self._over[:, index].any() else self._step_game(index, chosen)
            for index in range(len(self._games))
        ]
        results = self._results()
        for name, agents in self.group_map.items():
            rows = [[float(earned.get(agent, 0.0)) for agent in agents] for earned in rewards]
            results[name, "reward"] = torch.tensor(rows, device=self.device).unsqueeze(-1)
        return results

    def _step_game(self, index: int, chosen: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, float]:
        game = self._games[index]
        actions = {
            agent: self._spaces[agent].to_game(chosen[name][index, place])
            for name, agents in self.group_map.items()
            for place, agent in enumerate(agents)
            if agent in game.agents
        }
        self._seen[index], earned, terminated, truncated, self._infos[index] = game.step(actions)
        gone = sorted(set(actions) - set(game.agents))
        cut = {agent for agent in gone if truncated.get(agent) and not terminated.get(agent)}
        # Whoever was cut off has a future; who ended by itself has none.
        self._present[index] = set(game.agents) | cut
        if not game.agents:
            self._over[:, index, 0] = torch.tensor([not cut, bool(cut)])
        elif gone and not self._has_agent_mask:
            raise DataError(
                f"PettingZooTeamEnv: all agents must stay to the end of the episode, got a game that "
                f"{', '.join(gone)} left. Pass agent_mask=True."
            )
        return cast(Mapping[str, float], earned)

    def _results(self) -> TensorDictBase:
        terminated, truncated = self._over.clone()
        ends = {keys.TERMINATED: terminated, keys.TRUNCATED: truncated, keys.DONE: terminated | truncated}
        found = TensorDict(ends, self.batch_size)
        for name, agents in self.group_map.items():
            entries = self._of_group(agents)
            if self._has_agent_mask:
                present = [[agent in there for agent in agents] for there in self._present]
                entries["agent_mask"] = torch.tensor(present)
            found[name] = TensorDict(entries, [*self.batch_size, len(agents)])
        return found.to(self.device)

    def _of_group(self, agents: Sequence[str]) -> dict[str, Tensor]:
        rows = [
            [self._spaces[agent].read(seen.get(agent), infos.get(agent, {})) for agent in agents]
            for seen, infos in zip(self._seen, self._infos, strict=True)
        ]
        return {
            entry: torch.from_numpy(np.array([[one[entry] for one in row] for row in rows]))
            for entry in rows[0][0]
        }

    def render_frame(self) -> npt.NDArray[Any]:
        """The first game as it is now, `uint8` `[H, W, 3]`."""
        return np.ascontiguousarray(self._games[0].render())
